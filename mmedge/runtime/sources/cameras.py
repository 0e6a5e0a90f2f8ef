"""Which cameras there are, how they are called, and what they can do."""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmedge._optional import require

__all__ = ["CameraInfo", "CameraMode", "list_cameras"]

# linux/videodev2.h
_QUERYCAP, _ENUM_FMT, _REQBUFS = 0x80685600, 0xC0405602, 0xC0145608
_ENUM_FRAMESIZES, _ENUM_FRAMEINTERVALS = 0xC02C564A, 0xC034564B
_VIDEO_CAPTURE, _DEVICE_CAPS = 0x00000001, 0x80000000
_CAPTURE, _DISCRETE, _MMAP = 1, 1, 1
# No device has so many; a driver that never says "no more" is not listened to for ever.
_MOST = 64
# Tried where nothing lists them: PipeWire's are in no folder, and other systems have none.
_TRIED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraMode:
    """One way in which a camera can give pictures.

    Attributes:
        format: four letters, such as ``MJPG``.
        width: pixels; 0 where the camera names no sizes.
        height: pixels.
        rates_hz: frames per second, fastest first; empty where it names none.
    """

    format: str
    width: int = 0
    height: int = 0
    rates_hz: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraInfo:
    """One camera at this machine.

    Attributes:
        index: as in ``--camera 0``.
        path: its device node; empty where the system has none.
        ids: its names in ``/dev/v4l/by-id``, which stay the same when it is plugged in
            elsewhere or others come before it.
        name: what it calls itself.
        modes: what it can give; empty where it does not say.
        problem: why it cannot be used; empty if nothing is known against it.
    """

    index: int
    path: str
    ids: tuple[str, ...] = ()
    name: str = ""
    modes: tuple[CameraMode, ...] = ()
    problem: str = ""


def list_cameras(root: Path = Path("/")) -> tuple[CameraInfo, ...]:
    """Look for cameras: on Linux by asking V4L2, elsewhere by trying the first four.

    Nodes that give no pictures (metadata, outputs) are left out.

    Args:
        root: of the file system; holds ``dev`` and ``sys``.
    """
    if sys.platform != "linux":
        return tuple(_opened(index) for index in range(_TRIED) if _opens(index))
    nodes = (root / "sys/class/video4linux").glob("video[0-9]*")
    listed = {int(node.name[5:]) for node in nodes}
    ids = _ids(root)
    found = (_asked(root, index, ids) for index in sorted(listed.union(range(_TRIED))))
    return tuple(camera for camera in found if camera is not None)


def _opens(index: int) -> bool:
    cv2 = require("cv2", extra="opencv-headless|opencv", why="listing cameras")
    capture = cv2.VideoCapture(index, cv2.CAP_ANY)
    opens = bool(capture.isOpened())
    capture.release()
    return opens


def _opened(index: int) -> CameraInfo:
    return CameraInfo(index=index, path="", name=f"camera {index}")


def _ids(root: Path) -> dict[str, tuple[str, ...]]:
    """Give the stable names of every node."""
    names: dict[str, tuple[str, ...]] = {}
    for link in sorted((root / "dev/v4l/by-id").glob("*")):
        node = str(link.resolve())
        names[node] = (*names.get(node, ()), link.name)
    return names


def _asked(root: Path, index: int, ids: dict[str, tuple[str, ...]]) -> CameraInfo | None:
    """Ask a node; ``None`` if there is none, or it gives no pictures."""
    path = f"/dev/video{index}"
    try:
        # Under pw-v4l2 this opens although the path does not exist.
        node = os.open(str(root / path[1:]), os.O_RDWR | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        problem = exc.strerror or str(exc)
        return CameraInfo(index=index, path=path, ids=ids.get(path, ()), problem=problem)
    try:
        answer = _ioctl(node, _QUERYCAP, bytearray(104))
        if answer is None:
            return None
        card, everything, this_node = struct.unpack_from("<16x32s36xII", answer)
        if not (this_node if everything & _DEVICE_CAPS else everything) & _VIDEO_CAPTURE:
            return None
        name = card.split(b"\0")[0].decode("utf-8", "replace")
        return CameraInfo(
            index=index,
            path=path,
            ids=ids.get(path, ()),
            name=name,
            modes=tuple(_modes(node)),
            problem=os.strerror(errno.EBUSY) if _busy(node) else "",
        )
    finally:
        os.close(node)


def _busy(node: int) -> bool:
    """Ask whether another program takes pictures.

    Giving back no buffers is refused to all but the one that has some, and else does nothing.
    """
    import fcntl  # not on Windows

    asked = bytearray(struct.pack("<III8x", 0, _CAPTURE, _MMAP))
    try:
        fcntl.ioctl(node, _REQBUFS, asked)
    except OSError as exc:
        return exc.errno == errno.EBUSY
    return False


def _modes(node: int) -> Iterator[CameraMode]:
    for which in range(_MOST):
        answer = _ioctl(node, _ENUM_FMT, bytearray(struct.pack("<II56x", which, _CAPTURE)))
        if answer is None:
            return
        (letters,) = struct.unpack_from("<44x4s", answer)
        pixel_format = letters.decode("ascii", "replace").strip("\0 ")
        sizes = list(_sizes(node, letters))
        for width, height in sizes:
            rates_hz = tuple(sorted(_rates_hz(node, letters, width, height), reverse=True))
            yield CameraMode(format=pixel_format, width=width, height=height, rates_hz=rates_hz)
        if not sizes:
            yield CameraMode(format=pixel_format)


def _sizes(node: int, letters: bytes) -> Iterator[tuple[int, int]]:
    """Give the sizes that are named one by one; of a range, the largest."""
    for which in range(_MOST):
        asked = bytearray(struct.pack("<I4s36x", which, letters))
        answer = _ioctl(node, _ENUM_FRAMESIZES, asked)
        if answer is None:
            return
        kind, first, second, _, _, fifth = struct.unpack_from("<8x6I", answer)
        if kind != _DISCRETE:  # least, most and step of the width; the same of the height
            yield second, fifth
            return
        yield first, second


def _rates_hz(node: int, letters: bytes, width: int, height: int) -> Iterator[float]:
    for which in range(_MOST):
        asked = bytearray(struct.pack("<I4sII36x", which, letters, width, height))
        answer = _ioctl(node, _ENUM_FRAMEINTERVALS, asked)
        if answer is None:
            return
        kind, numerator, denominator = struct.unpack_from("<16x3I", answer)
        if numerator:
            yield round(denominator / numerator, 3)
        if kind != _DISCRETE:
            return


def _ioctl(node: int, request: int, argument: bytearray) -> Any:
    """Ask the driver; ``None`` where it says no."""
    import fcntl  # not on Windows

    try:
        fcntl.ioctl(node, request, argument)
    except OSError:
        return None
    return argument
