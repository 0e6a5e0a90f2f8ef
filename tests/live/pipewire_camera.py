"""A webcam in PipeWire. Run by the system's Python, which has GStreamer.

Every picture carries the monotonic clock (`tests.live.clock`). With the argument ``check``,
only prints what is missing.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

PIPELINE = (
    "appsrc name=source is-live=true format=time do-timestamp=true block=false max-buffers=2 "
    "leaky-type=downstream "
    "caps=video/x-raw,format=YUY2,width={width},height={height},framerate=30/1 "
    "! pipewiresink mode=provide "
    'stream-properties="p,media.class=Video/Source,node.name=fakecam,node.description=fakecam"'
)


def missing() -> list[str]:
    """What this Python lacks for the camera."""
    try:
        import gi
        import numpy as np  # noqa: F401

        gi.require_version("Gst", "1.0")
        from gi.repository import Gst
    except (ImportError, ValueError) as exc:
        return [str(exc)]
    Gst.init(None)
    elements = ("appsrc", "pipewiresink")
    return [name for name in elements if Gst.ElementFactory.find(name) is None]


def run(width: int, height: int) -> None:
    import gi

    gi.require_version("Gst", "1.0")
    from gi.repository import GLib, Gst

    Gst.init(None)
    pipeline = Gst.parse_launch(PIPELINE.format(width=width, height=height))
    pipeline.set_state(Gst.State.PLAYING)
    arguments = (Gst, pipeline.get_by_name("source"), width, height)
    threading.Thread(target=send, args=arguments, daemon=True).start()
    GLib.MainLoop().run()


def send(gst: Any, source: Any, width: int, height: int) -> None:
    import numpy as np

    from tests.live.clock import burn, scene

    base = np.full((height, width, 2), 128, np.uint8)
    base[..., 0] = scene(height, width)
    due_s = time.monotonic()
    while True:
        frame = base.copy()
        burn(frame[..., 0], time.monotonic_ns() // 1_000)
        source.emit("push-buffer", gst.Buffer.new_wrapped(frame.tobytes()))
        due_s = max(due_s + 1 / 30, time.monotonic() - 1)
        time.sleep(max(0.0, due_s - time.monotonic()))


if __name__ == "__main__":
    if sys.argv[1] == "check":
        sys.stdout.write("\n".join(missing()))
    else:
        run(*map(int, sys.argv[1:3]))
