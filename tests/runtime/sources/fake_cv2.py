"""An OpenCV whose cameras are lists of what happens."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Step = tuple[npt.NDArray[Any], float] | str | None
"""A picture and its time stamp in ms; ``error``; or nothing at all."""


class FakeCv2:
    """As much of the module as a camera uses. Put it into ``sys.modules``.

    Args:
        steps: what the camera gives, read by read; nothing more after that.
        opens: whether it can be opened at all.
        grants: what it grants instead of what is asked, by property.
        backend: what OpenCV says it is driven by.
        gstreamer: as the build information puts it.
    """

    CAP_ANY, CAP_V4L2, CAP_FFMPEG, CAP_GSTREAMER = 0, 200, 1900, 1800
    CAP_PROP_POS_MSEC, CAP_PROP_FRAME_WIDTH, CAP_PROP_FRAME_HEIGHT = 0, 3, 4
    CAP_PROP_FPS, CAP_PROP_FOURCC = 5, 6
    CAP_PROP_OPEN_TIMEOUT_MSEC, CAP_PROP_READ_TIMEOUT_MSEC = 53, 54
    CAP_PROP_N_THREADS = 70
    __version__, __file__ = "4.99", "/opt/cv2/__init__.py"

    class error(Exception):  # noqa: N801, N818 - OpenCV's name
        pass

    def __init__(
        self,
        steps: Sequence[Step] = (),
        *,
        opens: bool = True,
        grants: dict[int, float] | None = None,
        backend: str = "V4L2",
        gstreamer: str = "NO",
    ) -> None:
        self.steps, self.opens, self.grants = iter(steps), opens, grants or {}
        self.backend, self.gstreamer = backend, gstreamer
        self.opened: list[tuple[Any, ...]] = []
        self.options: list[str | None] = []
        self.asked: list[tuple[int, float]] = []
        self.released = 0
        fake = self

        class VideoCapture(_VideoCapture):
            cv2 = fake

        self.VideoCapture = VideoCapture

    def getBuildInformation(self) -> str:  # noqa: N802
        return f"  Video I/O:\n    FFMPEG:       YES\n    GStreamer:    {self.gstreamer}\n"


class _VideoCapture:
    cv2: FakeCv2

    def __init__(self, *arguments: Any) -> None:
        self.cv2.opened.append(arguments)
        self.cv2.options.append(os.environ.get("OPENCV_FFMPEG_CAPTURE_OPTIONS"))
        self.properties: dict[int, float] = {3: 640, 4: 480, 5: 30, 6: fourcc("YUYV")}
        self.now: tuple[npt.NDArray[Any], float] | None = None

    def isOpened(self) -> bool:  # noqa: N802
        return self.cv2.opens

    def getBackendName(self) -> str:  # noqa: N802
        return self.cv2.backend

    def set(self, what: int, value: float) -> bool:
        self.cv2.asked.append((what, value))
        self.properties[what] = self.cv2.grants.get(what, value)
        return True

    def get(self, what: int) -> float:
        if what == FakeCv2.CAP_PROP_POS_MSEC:
            return self.now[1] if self.now else 0.0
        return self.properties[what]

    def _step(self) -> bool:
        step = next(self.cv2.steps, None)
        if isinstance(step, str):
            raise FakeCv2.error(step)
        self.now = step
        return step is not None

    def read(self) -> tuple[bool, Any]:
        return (True, self.now[0]) if self._step() and self.now else (False, None)

    def retrieve(self) -> tuple[bool, Any]:
        return (True, self.now[0]) if self.now else (False, None)

    @staticmethod
    def waitAny(streams: list[_VideoCapture], timeout_ns: int) -> tuple[bool, list[int]]:  # noqa: N802
        (stream,) = streams
        if stream._step():
            return True, [0]
        time.sleep(timeout_ns / 1e9)
        return False, []

    def release(self) -> None:
        self.cv2.released += 1


def fourcc(letters: str) -> int:
    return int.from_bytes(letters.encode(), "little")


def now_ms() -> float:
    return time.monotonic_ns() / 1e6


def stamped(ages_ms: Sequence[float], pixels: npt.NDArray[Any]) -> Iterator[Step]:
    """Pictures that are so old at the moment when they come."""
    for age_ms in ages_ms:
        yield pixels, now_ms() - age_ms


def picture(height: int = 4, width: int = 6) -> npt.NDArray[np.uint8]:
    """BGR uint8 ``[height, width, 3]``, every byte another."""
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
