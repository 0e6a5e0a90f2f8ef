"""A camera's little web server, on loopback."""

from __future__ import annotations

import base64
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import numpy.typing as npt
from PIL import Image

Body = Callable[[], Iterator[bytes]]


@contextmanager
def serving(body: Body, content_type: str, *, login: str = "") -> Iterator[str]:
    """Serve what ``body`` gives, piece by piece, to whoever asks.

    Args:
        body: called for every client.
        content_type: of the answer.
        login: ``user:password`` that is asked for.

    Yields:
        The address, without the login.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            expected = "Basic " + base64.b64encode(login.encode()).decode()
            if login and self.headers.get("Authorization") != expected:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            try:
                for piece in body():
                    self.wfile.write(piece)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client has left

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/video"
    finally:
        server.shutdown()
        server.server_close()


MJPEG = "multipart/x-mixed-replace; boundary=next"


def mjpeg(pictures: Iterator[npt.NDArray[np.uint8]], rate_hz: float) -> Iterator[bytes]:
    """Pictures (RGB uint8) as a camera sends them: JPEG after JPEG, in real time."""
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=90)
        jpeg = file.getvalue()
        head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        yield head.encode() + jpeg + b"\r\n"
        time.sleep(1 / rate_hz)
