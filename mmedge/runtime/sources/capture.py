"""How OpenCV opens a local camera, a Jetson's own, and a stream; whichever cv2 is installed."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmedge._optional import require
from mmedge.errors import SourceError
from mmedge.runtime.sources.address import shown

__all__ = ["Capture", "open_csi", "open_local", "open_url"]

_POLL_NS = 100_000_000
# By default V4L2's read waits for 10 s. OpenCV looks when it is loaded.
_SELECT_TIMEOUT = ("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "2")
# A camera that is gone is opened every second for months, and each failure would be three lines on
# stderr; we say it once. OpenCV looks when it is loaded.
_LOG_LEVEL = ("OPENCV_LOG_LEVEL", "ERROR")
# Without these the first picture of a stream is a second old. OpenCV looks at each opening.
_FFMPEG_OPTIONS = (
    "OPENCV_FFMPEG_CAPTURE_OPTIONS",
    "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay",
)
# OpenCV does not say which of these it was.
_REFUSED = (
    "it refuses. Nobody listens there, user or password are wrong, or there are no pictures under "
    "this path; try the same URL in a player"
)


class Capture:
    """An open ``cv2.VideoCapture``.

    Args:
        cv2: the module.
        device: the open capture; owned from here on.
        what: for messages.

    Attributes:
        stamps: the device's position may be the time of capture.
        polls: `read` waits no longer than 100 ms; else until a frame comes, or its end.
        granted: what the device granted, for people: ``640x480 MJPG at 30 Hz``.
    """

    def __init__(self, cv2: Any, device: Any, what: str, *, local: bool) -> None:
        self._cv2, self._device, self._what = cv2, device, what
        self.stamps = self.polls = local and device.getBackendName() == "V4L2"
        self.granted = self._granted(local)

    def _granted(self, local: bool) -> str:
        cv2, device = self._cv2, self._device
        width, height = (
            int(device.get(each)) for each in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        letters = int(device.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        fourcc = letters.to_bytes(4, "little").decode("ascii", "replace").strip("\0 ")
        rate_hz = device.get(cv2.CAP_PROP_FPS)
        # A stream's rate is what a header says, or made up (25 Hz for MJPEG over HTTP).
        rate = f"at {rate_hz:g} Hz" if local and rate_hz > 0 else ""
        return " ".join(filter(None, (f"{width}x{height}", fourcc, rate)))

    def read(self) -> Any:
        """Wait for the next picture, and give it; ``None`` if there is none.

        Raises:
            SourceError: the device reports an error.
        """
        try:
            if not self.polls:
                return self._picture(self._device.read())
            # Unlike read(), it can be left after 100 ms. It gives the GIL free as well.
            _, ready = self._cv2.VideoCapture.waitAny([self._device], _POLL_NS)
            return self._picture(self._device.retrieve()) if len(ready) else None
        except self._cv2.error as exc:
            raise SourceError(f"{self._what} reports an error: it is unplugged, or broken") from exc

    @staticmethod
    def _picture(answer: tuple[bool, Any]) -> Any:
        # OpenCV's flags stay true when a device has gone: only a picture counts.
        done, pixels = answer
        return pixels if done and pixels is not None and pixels.size else None

    def position_ms(self) -> float:
        """Give the picture's time stamp, on whatever clock the backend has."""
        return float(self._device.get(self._cv2.CAP_PROP_POS_MSEC))

    def close(self) -> None:
        """Give the device back."""
        self._device.release()


def open_local(
    device: int | str,
    pixel_format: str,
    width: int | None,
    height: int | None,
    rate_hz: float | None,
) -> Capture:
    """Open a camera at this machine by its index, path, or name in ``/dev/v4l/by-id``.

    Raises:
        SourceError: it is not there, busy, or no camera.
        MissingDependencyError: OpenCV is not installed.
    """
    cv2 = _cv2()
    linux = sys.platform == "linux"
    if isinstance(device, str) and "/" not in device and linux:
        device = f"/dev/v4l/by-id/{device}"
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2 if linux else cv2.CAP_ANY)
    if not capture.isOpened():
        capture.release()
        raise SourceError(f"cannot open camera {device}: {_why_not(device)}")
    # The format first: it decides which sizes and rates there are.
    wishes = {
        cv2.CAP_PROP_FOURCC: int.from_bytes(pixel_format.encode("ascii"), "little"),
        cv2.CAP_PROP_FRAME_WIDTH: width,
        cv2.CAP_PROP_FRAME_HEIGHT: height,
        cv2.CAP_PROP_FPS: rate_hz,
    }
    for what, wish in wishes.items():
        if wish:
            capture.set(what, wish)
    return Capture(cv2, capture, f"camera {device}", local=True)


def open_url(url: str, timeout_ms: int) -> Capture:
    """Open a stream through OpenCV's FFmpeg.

    Raises:
        SourceError: nobody answers in time, or what answers gives no pictures.
        MissingDependencyError: OpenCV is not installed.
    """
    cv2 = _cv2()
    limits = [
        *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 2 * timeout_ms),
        *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms),
        # Several threads decode several pictures at once, so each comes a picture later.
        *(cv2.CAP_PROP_N_THREADS, 1),
    ]
    begin_s = time.monotonic()
    with _environment(*_FFMPEG_OPTIONS):
        # Never by "any" backend: the others put the whole URL into their messages.
        capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)
    if not capture.isOpened():
        capture.release()
        late = time.monotonic() - begin_s > timeout_ms / 1000
        raise SourceError(
            f"cannot open {shown(url)}: "
            + ("no answer in time; is it on, and in this network?" if late else _REFUSED)
        )
    return Capture(cv2, capture, shown(url), local=False)


def open_csi(number: int, width: int | None, height: int | None, rate_hz: float | None) -> Capture:
    """Open a Jetson's own camera through GStreamer.

    Raises:
        SourceError: this OpenCV is without GStreamer, or the camera is not there.
        MissingDependencyError: OpenCV is not installed.
    """
    cv2 = _cv2()
    if not _has_gstreamer(cv2.getBuildInformation()):
        raise SourceError(
            f"a CSI camera needs an OpenCV with GStreamer, and this one (cv2 {cv2.__version__} in "
            f"{Path(cv2.__file__).parent}) says 'GStreamer: NO'. JetPack's own has it, and a pip "
            "wheel hides it: pip uninstall opencv-python opencv-python-headless"
        )
    size = f", width={width}, height={height}" if width else ""
    rate = f", framerate={round((rate_hz or 30) * 1000)}/1000"
    capture = cv2.VideoCapture(
        f"nvarguscamerasrc sensor-id={number} ! "
        f"video/x-raw(memory:NVMM), format=NV12{size}{rate} ! nvvidconv ! "
        "video/x-raw, format=BGRx ! videoconvert ! video/x-raw, format=BGR ! "
        "appsink drop=1 max-buffers=1 sync=0",
        cv2.CAP_GSTREAMER,
    )
    if not capture.isOpened():
        capture.release()
        raise SourceError(
            f"cannot open CSI camera {number}: is it plugged in, and nvargus-daemon running? "
            "See: v4l2-ctl --list-devices; sudo systemctl restart nvargus-daemon"
        )
    return Capture(cv2, capture, f"CSI camera {number}", local=True)


def _cv2() -> Any:
    os.environ.setdefault(*_SELECT_TIMEOUT)
    os.environ.setdefault(*_LOG_LEVEL)
    return require("cv2", extra="opencv-headless|opencv", why="a camera")


def _has_gstreamer(build: str) -> bool:
    lines = (line.strip() for line in build.splitlines())
    return any(line.startswith("GStreamer:") and "YES" in line for line in lines)


def _why_not(device: int | str) -> str:
    """Say why a camera could not be opened; asked afterwards, because a path may lie.

    Under PipeWire's ``pw-v4l2`` a camera opens whose path does not exist.
    """
    path = f"/dev/video{device}" if isinstance(device, int) else device
    if sys.platform != "linux":
        return "it is not there, or another program has it"
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    except OSError as exc:
        if exc.errno in {errno.EACCES, errno.EPERM}:
            return f"you may not use {path}: sudo usermod -aG video $USER, and log in again"
        if exc.errno == errno.EBUSY:
            return f"another program has {path}: fuser -v {path}"
        return f"{path}: {exc.strerror}; `mmedge devices` lists what is there"
    return (
        f"{path} gives no pictures: another program has it (fuser -v {path}), or it is not a "
        "camera (some have a second node for other data); `mmedge devices` lists what is there"
    )


_lock = threading.Lock()
_users: dict[str, int] = {}


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set a variable that is not set yet, for as long as anybody is within."""
    with _lock:
        ours = name not in os.environ or name in _users
        if ours:
            os.environ[name] = value
            _users[name] = _users.get(name, 0) + 1
    try:
        yield
    finally:
        with _lock:
            if ours:
                _users[name] -= 1
                if not _users[name]:
                    del _users[name], os.environ[name]
