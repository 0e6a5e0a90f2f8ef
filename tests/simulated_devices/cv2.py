"""Stands for OpenCV in an app's process: a camera that sees the demo's clip from ``BEGIN_NS``."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import av

CLIP = Path(__file__).resolve().parents[2] / "mmedge" / "demo" / "clip.mkv"


class VideoCapture:
    def __init__(self, index: int) -> None:
        assert index == 0
        with av.open(str(CLIP)) as file:
            frames = [(f.time, f.to_ndarray(format="bgr24")) for f in file.decode(video=0)]
        self._frames = iter(frames)
        self._open = True

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self._open

    def read(self) -> tuple[bool, Any]:
        at_s, pixels = next(self._frames, (0, None))
        if pixels is None:
            self._open = False
            return False, None
        begin_ns = int(os.environ["BEGIN_NS"])
        time.sleep(max(begin_ns + at_s * 1e9 - time.monotonic_ns(), 0) / 1e9)
        return True, pixels
