"""A webcam in PipeWire. Run by the system's Python, which has GStreamer.

Every picture carries the monotonic clock (`tests.live.clock`), until a line on standard input,
``FILE BEGIN_NS RATE_HZ``, gives it something else to show: the uint8 luma ``[n, h, w]`` of an
``.npy``, picture ``(now - BEGIN_NS) * RATE_HZ``, the first before and the last afterwards; it
is scaled up by whole numbers. With the argument ``check``, only prints what is missing.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

RATE_HZ = 30
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
    showing = Showing(width, height)
    arguments = (Gst, pipeline.get_by_name("source"), showing)
    threading.Thread(target=send, args=arguments, daemon=True).start()
    threading.Thread(target=showing.listen, daemon=True).start()
    GLib.MainLoop().run()


class Showing:
    """What the camera sees."""

    def __init__(self, width: int, height: int) -> None:
        import numpy as np

        from tests.live.clock import scene

        self._size = height, width
        self._base = np.full((height, width, 2), 128, np.uint8)
        self._base[..., 0] = scene(height, width)
        self._film: Any = None
        self._begin_ns, self._rate_hz = 0, 1.0

    def listen(self) -> None:
        import numpy as np

        for line in sys.stdin:
            path, begin_ns, rate_hz = line.split()
            self._begin_ns, self._rate_hz = int(begin_ns), float(rate_hz)
            self._film = np.load(path, mmap_mode="r")

    def due_ns(self, after_ns: int) -> int:
        """When the next picture is taken: a film's changes fall onto the camera's pictures."""
        passed = (after_ns - self._begin_ns) * RATE_HZ // 1_000_000_000
        return self._begin_ns + (passed + 1) * 1_000_000_000 // RATE_HZ

    def picture(self, at_ns: int) -> bytes:
        from tests.live.clock import burn

        frame = self._base.copy()
        film = self._film
        if film is None:
            burn(frame[..., 0], time.monotonic_ns() // 1_000)
        else:
            number = int((at_ns - self._begin_ns) * self._rate_hz / 1e9 + 0.01)
            luma = film[min(max(number, 0), len(film) - 1)]
            times = self._size[0] // luma.shape[0]
            frame[..., 0] = luma.repeat(times, 0).repeat(times, 1)
        return frame.tobytes()


def send(gst: Any, source: Any, showing: Showing) -> None:
    while True:
        due_ns = showing.due_ns(time.monotonic_ns())
        time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
        source.emit("push-buffer", gst.Buffer.new_wrapped(showing.picture(due_ns)))


if __name__ == "__main__":
    if sys.argv[1] == "check":
        sys.stdout.write("\n".join(missing()))
    else:
        run(*map(int, sys.argv[1:3]))
