"""The server: a sink with a thread of its own, in which uvicorn runs."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from mmedge._optional import require
from mmedge.errors import ConfigError, ResourceError
from mmedge.runtime.pipeline.status import Status
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.server.config import ServerConfig
from mmedge.runtime.server.hub import Hub
from mmedge.runtime.sinks.lines import What, json_lines

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["Server"]

START_S = 5.0
MAX_HEADER_BYTES = 16_384
MAX_MESSAGE_BYTES = 4_096
"""Of a reader's message; there is none to be sent, but some libraries greet."""
ACCEPTED_AT_ONCE = 32
BACKLOG = 1_024
"""Longer than what `asyncio` accepts at once, which costs open files: in a flood a full one
makes everybody wait for TCP's next try, a second later."""
SEND_BUFFER_BYTES = 65_536


class Server:
    """Answers on HTTP and WebSockets; a sink like any other.

    It listens from `start` to `close`, and every call returns at once: what a reader is too
    slow for is lost to that reader.

    Args:
        config: where, for whom, and how much.
        dashboard: an application for every path that the server does not use itself.

    Raises:
        MissingDependencyError: the extra ``serve`` is not installed.
    """

    name = "http"

    def __init__(self, config: ServerConfig, *, dashboard: ASGIApp | None = None) -> None:
        for module in ("starlette", "uvicorn", "websockets", "prometheus_client"):
            require(module, extra="serve", why="the HTTP server")
        from mmedge.runtime.server.app import LastStatus, build_app

        self._config = config
        self._hub = Hub(readers=config.clients, queue=config.queue)
        self._last = LastStatus()
        self._app = build_app(config, self._hub, self._last, dashboard)
        self._uvicorn: Any = None
        self._thread: threading.Thread | None = None
        self.port = config.port

    @property
    def url(self) -> str:
        """Where it can be reached; ``port`` is known after `start`."""
        address = self._config.address
        return f"http://{f'[{address}]' if ':' in address else address}:{self.port}"

    def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: the address or the port cannot be had.
        """
        listening = _listen(self._config)
        self.port = listening.getsockname()[1]
        self._uvicorn = _make_uvicorn(self._app, self._config)
        self._thread = threading.Thread(
            target=self._uvicorn.run, kwargs={"sockets": [listening]}, name="http", daemon=True
        )
        self._thread.start()
        deadline_s = time.monotonic() + START_S
        while not self._uvicorn.started:
            if time.monotonic() > deadline_s or not self._thread.is_alive():
                listening.close()
                raise ResourceError(f"the server did not start within {START_S:.0f} s.")
            time.sleep(0.002)
        listening.listen(BACKLOG)

    def emit(self, tick: Tick) -> None:
        """Tell every reader.

        Raises:
            OSError: the server has ended.
        """
        if self._thread is None or not self._thread.is_alive():
            raise OSError("the HTTP server does not run")
        every: tuple[What, ...] = ("ticks", "events")
        for what in every:
            if self._hub.wants(what):
                self._hub.publish(what, json_lines(tick, what))

    def show(self, status: Status) -> None:
        """Keep the state, for whoever asks."""
        self._last.put(status)

    def close(self) -> None:
        """Say goodbye to every reader, and end within a second; closing twice is fine."""
        if self._thread is None:
            return
        self._uvicorn.should_exit = True
        self._thread.join(0.5)
        if self._thread.is_alive():  # a reader that does not read holds its connection
            for each in self._uvicorn.servers[:1]:
                each.get_loop().call_soon_threadsafe(self._cut_off)
            self._thread.join(0.4)
        self._thread = None

    def _cut_off(self) -> None:
        self._uvicorn.force_exit = True
        for connection in list(self._uvicorn.server_state.connections):
            connection.transport.abort()


def _listen(config: ServerConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Small, so that a slow reader gets news and not history.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listening.bind((config.address, config.port))
    except OSError as exc:
        listening.close()
        raise ConfigError(
            f"cannot listen on {config.address} port {config.port}: {exc.strerror}. "
            "Another program may be there; name another port, or 0 for a free one."
        ) from exc
    return listening


def _make_uvicorn(app: ASGIApp, config: ServerConfig) -> Any:
    import uvicorn

    from mmedge.runtime.server.doors import SURPLUS, HttpDoor, Limits, WebSocketDoor

    limits = Limits(
        connections=config.connections, request_ms=config.request_ms, stall_ms=config.stall_ms
    )
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=type("Http", (HttpDoor,), {"limits": limits}),
            ws=type("WebSocket", (WebSocketDoor,), {"limits": limits}),
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            lifespan="off",
            loop="asyncio",
            interface="asgi3",
            log_config=None,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=config.connections + SURPLUS + 1,
            backlog=ACCEPTED_AT_ONCE,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
    )
