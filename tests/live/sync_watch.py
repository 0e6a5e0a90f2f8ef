"""Flashes and clicks as a camera and a microphone capture them: run under ``pw-v4l2``.

Prints ``ready``, then a line ``flash NS`` or ``click NS`` for each, and ends after the given
seconds.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from mmedge.runtime.sources.camera import Camera, CameraConfig
from mmedge.runtime.sources.microphone import Microphone, MicrophoneConfig

_LOCK = threading.Lock()


def tell(*what: object) -> None:
    with _LOCK:
        sys.stdout.write(" ".join(map(str, what)) + "\n")
        sys.stdout.flush()


def watch(
    read: Callable[[], Any], name: str, at: Callable[[Any], int | None], until: float
) -> None:
    """Tell when what is read becomes loud or bright, after having been neither."""
    quiet = True
    while time.monotonic() < until:
        sample = read()
        if sample is None:
            continue
        time_ns = at(sample)
        if time_ns is not None and quiet:
            tell(name, time_ns)
        quiet = time_ns is None


def flashing(frame: Any) -> int | None:
    return int(frame.time_ns) if frame.pixels.mean() > 128 else None


def clicking(block: Any) -> int | None:
    loud = np.flatnonzero(np.abs(block.samples[:, 0].astype(int)) > 8_000)
    return int(block.time_ns + int(loud[0]) * 1_000_000_000 // block.rate_hz) if len(loud) else None


def main(seconds: float) -> None:
    camera, mic = Camera(CameraConfig()), Microphone(MicrophoneConfig(wish_hz=16_000))
    try:
        camera.open()
        mic.open()
        until = time.monotonic() + seconds
        threads = [
            threading.Thread(target=watch, args=(camera.read, "flash", flashing, until)),
            threading.Thread(target=watch, args=(mic.read, "click", clicking, until)),
        ]
        for thread in threads:
            thread.start()
        tell("ready")
        for thread in threads:
            thread.join()
    finally:
        camera.close()
        mic.close()


if __name__ == "__main__":
    main(float(sys.argv[1]))
