"""Watches camera 0 as the supervisor would, for a test: run under ``pw-v4l2``.

Writes one JSON object per line: what cameras are listed, what is granted, every frame's
age and error, and why and when it was lost. Ends after the given seconds.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from mmedge.errors import SourceError
from mmedge.runtime.sources.camera import Camera, CameraConfig
from mmedge.runtime.sources.cameras import list_cameras
from tests.live.clock import seen_ns


def tell(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def watch(camera: Camera) -> None:
    """Open it, and tell of its frames until it is lost, or silent for its whole patience."""
    tell(granted=camera.open())
    last_s = time.monotonic()
    while time.monotonic() - last_s < camera.patience_ms / 1000:
        frame = camera.read()
        if frame is not None:
            last_s = time.monotonic()
            burned_ns = seen_ns(frame.pixels)
            tell(
                age_ms=(time.monotonic_ns() - frame.time_ns) / 1e6,
                error_ms=(frame.time_ns - burned_ns) / 1e6,
                shape=frame.pixels.shape,
            )
    raise SourceError("silent for its whole patience")


def main(seconds: float) -> None:
    tell(cameras=[[each.index, each.name, len(each.modes)] for each in list_cameras()])
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        camera = Camera(CameraConfig(timeout_ms=1_000))
        try:
            watch(camera)
        except SourceError as exc:
            begin_s = time.monotonic()
            camera.close()
            tell(lost=str(exc), at_s=begin_s, closing_s=time.monotonic() - begin_s)
        time.sleep(0.3)


if __name__ == "__main__":
    main(float(sys.argv[1]))
