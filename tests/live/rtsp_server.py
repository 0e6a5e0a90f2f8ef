"""An RTSP camera with H.264 and Opus. Run by the system's Python, which has GStreamer.

Every picture carries the monotonic clock (`tests.live.clock`); at every whole second of it
a tone of 1 kHz sounds for 50 ms. Prints ``ready`` when it listens; with the argument
``check``, only prints what is missing.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

PIPELINE = (
    "( appsrc name=picture is-live=true format=time do-timestamp=true max-buffers=2 block=false "
    "caps=video/x-raw,format=I420,width={width},height={height},framerate={rate}/1 "
    "! queue max-size-buffers=2 leaky=downstream "
    "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={rate} bitrate=4000 threads=1 "
    "! rtph264pay name=pay0 pt=96 config-interval=1 "
    # A test source that can seek would make PLAY fail.
    "appsrc name=sound is-live=true format=time do-timestamp=true max-buffers=8 block=false "
    "caps=audio/x-raw,format=S16LE,rate=48000,channels=1,layout=interleaved "
    "! queue ! audioconvert ! opusenc frame-size=10 ! rtpopuspay name=pay1 pt=97 )"
)
ELEMENTS = ("appsrc", "x264enc", "rtph264pay", "opusenc", "rtpopuspay")
BLOCK = 480

Push = Callable[[bytes], object]


def missing() -> list[str]:
    """What this Python lacks for the server."""
    try:
        import gi
        import numpy as np  # noqa: F401

        gi.require_version("Gst", "1.0")
        gi.require_version("GstRtspServer", "1.0")
        from gi.repository import Gst, GstRtspServer  # noqa: F401
    except (ImportError, ValueError) as exc:
        return [str(exc)]
    Gst.init(None)
    return [name for name in ELEMENTS if Gst.ElementFactory.find(name) is None]


def serve(width: int, height: int, rate: int, port: int, login: str) -> None:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)

    def configure(media: Any) -> None:
        over = threading.Event()
        media.connect("unprepared", lambda *_: over.set())

        def push(name: str) -> Push:
            source = media.get_element().get_by_name_recurse_up(name)

            def to(content: bytes) -> None:
                if source.get_clock() is not None:  # before it plays, nothing can be stamped
                    source.emit("push-buffer", Gst.Buffer.new_wrapped(content))

            return to

        for run, name in ((send_pictures, "picture"), (send_sound, "sound")):
            arguments = (push(name), over, width, height, rate)
            threading.Thread(target=run, args=arguments, daemon=True).start()

    class Factory(GstRtspServer.RTSPMediaFactory):
        def do_create_element(self, url: Any) -> Any:
            return Gst.parse_launch(PIPELINE.format(width=width, height=height, rate=rate))

        def do_configure(self, media: Any) -> None:
            configure(media)

    server, factory = GstRtspServer.RTSPServer(), Factory()
    server.set_address("127.0.0.1")
    server.set_service(str(port))
    # A shared one is not ready again for a client that comes right after the last one left.
    factory.set_shared(False)
    if login:
        ask_for(login, GstRtspServer, server, factory)
    server.get_mount_points().add_factory("/cam", factory)
    server.attach(None)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


def ask_for(login: str, rtsp: Any, server: Any, factory: Any) -> None:
    """Let in only ``user:password``."""
    token, auth, rights = rtsp.RTSPToken(), rtsp.RTSPAuth(), rtsp.RTSPPermissions()
    token.set_string("media.factory.role", "user")
    auth.add_basic(rtsp.RTSPAuth.make_basic(*login.split(":")), token)
    server.set_auth(auth)
    for right in ("media.factory.access", "media.factory.construct"):
        rights.add_permission_for_role("user", right, True)
    factory.set_permissions(rights)


def send_pictures(push: Push, over: threading.Event, width: int, height: int, rate: int) -> None:
    import numpy as np

    from tests.live.clock import burn, scene

    base = np.full(width * height * 3 // 2, 128, np.uint8)
    base[: width * height] = scene(height, width).ravel()
    due_s = time.monotonic()
    while not over.is_set():
        frame = base.copy()
        burn(frame[: width * height].reshape(height, width), time.monotonic_ns() // 1_000)
        push(frame.tobytes())
        due_s = max(due_s + 1 / rate, time.monotonic() - 1)
        time.sleep(max(0.0, due_s - time.monotonic()))


def send_sound(push: Push, over: threading.Event, *_: int) -> None:
    import numpy as np

    begin_s, blocks = time.monotonic(), 0
    while not over.is_set():
        # The server stamps a block when it is pushed: with the time of its first sample.
        at_s = begin_s + (blocks * BLOCK + np.arange(BLOCK)) / 48_000
        tone = np.where(at_s % 1 < 0.05, 0.6 * np.sin(2 * np.pi * 1_000 * at_s), 0)
        push((tone * 32_767).astype("<i2").tobytes())
        blocks += 1
        time.sleep(max(0.0, begin_s + blocks * BLOCK / 48_000 - time.monotonic()))


if __name__ == "__main__":
    if sys.argv[1] == "check":
        sys.stdout.write("\n".join(missing()))
    else:
        serve(*map(int, sys.argv[1:5]), sys.argv[5] if len(sys.argv) > 5 else "")
