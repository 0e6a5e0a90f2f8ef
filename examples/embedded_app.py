"""An app that owns its camera and lets mmedge hear the microphone by itself.

    python examples/embedded_app.py guard.mmedge

Whatever grabs the pictures (OpenCV here; GStreamer, DeepStream or a vendor's library
elsewhere) hands them over with the time of their capture; everything else, from alignment to
a microphone that is unplugged, is the pipeline's.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time

import cv2

from mmedge import Inputs, Pipeline
from mmedge.runtime.preprocess import Picture


def grab(pipeline: Pipeline) -> None:
    camera = cv2.VideoCapture(0)
    while camera.isOpened():
        good, pixels = camera.read()
        if good:
            pipeline.push("camera", Picture(pixels, "bgr"), time.monotonic_ns())


def main(path: str) -> None:
    with Pipeline.open(path, Inputs(mics=("default",))) as pipeline:
        threading.Thread(target=grab, args=(pipeline,), daemon=True).start()
        for tick in pipeline:
            for event in tick.events:
                print(event.label, event.what, f"{event.score:.2f}")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C; the pipeline has closed by then
        main(sys.argv[1])
