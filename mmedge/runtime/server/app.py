"""What can be asked of the server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from mmedge.runtime.pipeline.status import Status
from mmedge.runtime.server.config import ServerConfig
from mmedge.runtime.server.guard import Guard
from mmedge.runtime.server.hub import Hub, Reader
from mmedge.runtime.sinks.metrics import Metric, metrics_of

__all__ = ["LastStatus", "build_app"]

STALE_NS = 10_000_000_000
"""A pipeline tells its state some times a second; silent for so long, it is stuck."""


class LastStatus:
    """The newest state; written by the sink's thread, read by the server's."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._last: tuple[int, Status] | None = None

    def put(self, status: Status) -> None:
        """Replace it."""
        self._last = (self._clock(), status)

    def get(self) -> Status | None:
        """Give it; ``None`` before the first."""
        return None if self._last is None else self._last[1]

    @property
    def stuck(self) -> bool:
        """Whether the pipeline has told its state once, and then no more."""
        return self._last is not None and self._clock() - self._last[0] > STALE_NS


def build_app(
    config: ServerConfig, hub: Hub, last: LastStatus, dashboard: ASGIApp | None = None
) -> ASGIApp:
    """Build the application; ``dashboard`` gets every path that is not taken."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics(hub, last))

    async def healthz(_: Request) -> Response:
        state = "stuck" if last.stuck else "starting" if last.get() is None else "alive"
        return JSONResponse({"status": state}, 503 if state == "stuck" else 200)

    async def readyz(_: Request) -> Response:
        status = last.get()
        ready = status is not None and status.ready and not last.stuck
        reason = "starting" if status is None else status.degraded
        return JSONResponse({"ready": ready, "degraded": reason}, 200 if ready else 503)

    async def metrics(request: Request) -> Response:
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": media_type})

    async def predictions(socket: WebSocket) -> None:
        await _tell(socket, hub)

    routes: list[BaseRoute] = [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        WebSocketRoute("/ws", predictions),
    ]
    if dashboard is not None:
        routes.append(Mount("/", dashboard))
    return Guard(Starlette(routes=routes), config)


class _Metrics:
    """Gives the pipeline's metrics, and the server's own, when they are asked for."""

    def __init__(self, hub: Hub, last: LastStatus) -> None:
        self._hub = hub
        self._last = last

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        status = self._last.get()
        yield from map(_family, [] if status is None else metrics_of(status))
        yield GaugeMetricFamily("mmedge_http_readers", "WebSockets open now.", len(self._hub))
        yield CounterMetricFamily(
            "mmedge_http_dropped_total", "Messages lost by slow readers.", self._hub.dropped
        )


def _family(metric: Metric) -> GaugeMetricFamily | CounterMetricFamily:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=tuple(metric.samples[0][0]))
    for labels, value in metric.samples:
        family.add_metric(tuple(labels.values()), value)
    return family


async def _tell(socket: WebSocket, hub: Hub) -> None:
    """Tell one reader until it goes, or says something: there is nothing to be said."""
    reader = hub.join("events" if socket.query_params.get("events") == "1" else "ticks")
    if reader is None:
        full = PlainTextResponse("Too many readers.\n", 503, {"Retry-After": "5"})
        await socket.send_denial_response(full)
        return
    try:
        await socket.accept()
        telling = asyncio.create_task(_send(socket, reader))
        try:
            message = await socket.receive()
        finally:
            telling.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect, OSError):
                await telling
        if message["type"] == "websocket.receive":
            with suppress(WebSocketDisconnect, OSError, RuntimeError):
                await socket.close(1008, "nothing is to be sent here")
    finally:
        hub.leave(reader)


async def _send(socket: WebSocket, reader: Reader) -> None:
    while True:
        await socket.send_text(await reader.next())
