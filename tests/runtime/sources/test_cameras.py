from __future__ import annotations

import os
import struct
import sys
from typing import Any

import pytest

from mmedge.runtime.sources import cameras
from mmedge.runtime.sources.cameras import CameraInfo, CameraMode, list_cameras
from tests.runtime.sources.fake_cv2 import FakeCv2

QUERYCAP, ENUM_FMT, ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS = (
    0x80685600,
    0xC0405602,
    0xC02C564A,
    0xC034564B,
)
CAPTURE, METADATA, DEVICE_CAPS = 0x1, 0x00800000, 0x80000000
SIZES = {b"MJPG": [(1920, 1080), (640, 480)], b"YUYV": [(640, 480)]}


class Driver:
    """A V4L2 driver of two nodes, as videodev2.h lays its answers out."""

    def __init__(self) -> None:
        self.caps = {"/dev/video0": CAPTURE, "/dev/video1": METADATA}
        self.nodes: dict[int, str] = {}

    def open(self, path: str, flags: int) -> int:
        if path == "/dev/video2":
            raise PermissionError(13, "Permission denied")
        if path not in self.caps:
            raise FileNotFoundError(2, "No such file")
        node = os.dup(0)
        self.nodes[node] = path
        return node

    def ioctl(self, node: int, request: int, argument: bytearray) -> None:
        index = struct.unpack_from("<I", argument)[0]
        if request == QUERYCAP:
            caps = self.caps[self.nodes[node]]
            argument[16:32] = b"Acme Cam".ljust(16, b"\0")
            # What the whole device can do says nothing of this node.
            struct.pack_into("<II", argument, 84, DEVICE_CAPS | CAPTURE | METADATA, caps)
        elif request == ENUM_FMT:
            argument[44:48] = self.known([b"MJPG", b"YUYV", b"H264"], index)
        elif request == ENUM_FRAMESIZES and argument[4:8] == b"H264":
            self.known([0], index)
            struct.pack_into("<7I", argument, 8, 3, 16, 4096, 2, 16, 2160, 2)
        elif request == ENUM_FRAMESIZES:
            size = self.known(SIZES.get(bytes(argument[4:8]), []), index)
            struct.pack_into("<III", argument, 8, 1, *size)
        else:
            rates = [(1, 30), (2, 15)] if argument[4:8] == b"MJPG" else []
            struct.pack_into("<III", argument, 16, 1, *self.known(rates, index))

    @staticmethod
    def known(answers: list[Any], index: int) -> Any:
        if index >= len(answers):
            raise OSError(22, "Invalid argument")
        return answers[index]


@pytest.mark.skipif(sys.platform != "linux", reason="V4L2 is Linux's")
def test_a_camera_tells_its_name_formats_sizes_and_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver()
    monkeypatch.setattr(cameras.os, "open", driver.open)
    monkeypatch.setattr("fcntl.ioctl", driver.ioctl)
    assert list_cameras() == (
        CameraInfo(
            index=0,
            path="/dev/video0",
            name="Acme Cam",
            modes=(
                CameraMode(format="MJPG", width=1920, height=1080, rates_hz=(30.0, 7.5)),
                CameraMode(format="MJPG", width=640, height=480, rates_hz=(30.0, 7.5)),
                CameraMode(format="YUYV", width=640, height=480),
                CameraMode(format="H264", width=4096, height=2160),
            ),
        ),
        CameraInfo(index=2, path="/dev/video2", problem="Permission denied"),
    )


def test_where_nothing_lists_cameras_they_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    class OnlyTheFirst(FakeCv2):
        def __init__(self) -> None:
            super().__init__()
            capture = self.VideoCapture

            class VideoCapture(capture):  # type: ignore[misc, valid-type]
                def isOpened(self) -> bool:  # noqa: N802
                    return len(self.cv2.opened) == 1

            self.VideoCapture = VideoCapture

    cv2 = OnlyTheFirst()
    monkeypatch.setitem(sys.modules, "cv2", cv2)  # type: ignore[arg-type]
    monkeypatch.setattr(cameras.sys, "platform", "win32")
    assert list_cameras() == (CameraInfo(index=0, path="", name="camera 0"),)
    assert cv2.released == 4
