"""Connections that cannot be held open for nothing.

uvicorn bounds requests, but not connections that ask nothing, requests that never end, or
readers that stop reading. These two protocols do, by what `asyncio` tells every protocol.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

__all__ = ["HttpDoor", "Limits", "WebSocketDoor"]

# Not uvicorn's: a stranger's bad request is no news, and an app's own server keeps its log.
_logger = logging.getLogger("mmedge.http")
_logger.setLevel(logging.ERROR)

BUFFER_BYTES = 16_384
GRACE_S = 0.05
"""A request that is on its way already arrives within this; only then its connection is idle."""
SURPLUS = 128
"""Connections above the limit that get this grace; with more, the oldest goes at once."""


class Limits:
    """How much both kinds of connections may take."""

    def __init__(self, *, connections: int, request_ms: int, stall_ms: int) -> None:
        self.connections = connections
        self.request_s = request_ms / 1e3
        self.stall_s = stall_ms / 1e3


class HttpDoor(H11Protocol):
    """One request; cut off when it takes too long, or when a newer connection needs its place."""

    limits: Limits

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _logger
        self.access_log = False
        self._begun_s = 0.0
        self._deadline: asyncio.TimerHandle | None = None
        self._grace: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place, somebody else's if there is no other."""
        super().connection_made(cast(asyncio.Transport, transport))
        self._begun_s = self.loop.time()
        self._deadline = self.loop.call_later(self.limits.request_s, self._cut_off)
        self._make_room(self.limits.connections + SURPLUS)
        self._grace = self.loop.call_later(GRACE_S, self._make_room, self.limits.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        for timer in (self._deadline, self._grace):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    @property
    def _idle(self) -> bool:
        return self.cycle is None

    def _make_room(self, limit: int) -> None:
        """Cut off those that have asked nothing yet, the oldest first."""
        surplus = len(self.connections) - limit
        if surplus <= 0:
            return
        idle = [each for each in self.connections if isinstance(each, HttpDoor) and each._idle]
        for each in sorted(idle, key=lambda each: each._begun_s)[:surplus]:
            each.transport.abort()
            self.connections.discard(each)  # now, not when the loop comes to it

    def _cut_off(self) -> None:
        if self.transport.get_protocol() is self:  # it has not become a WebSocket
            self.transport.abort()


class WebSocketDoor(WebSocketsSansIOProtocol):
    """A WebSocket that is cut off when its reader takes nothing for too long."""

    limits: Limits

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = self.conn.logger = _logger
        self.conn.debug = False  # it would write down the request with its token
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep little in the way, so that a slow reader gets news and not history."""
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=BUFFER_BYTES)
        super().connection_made(transport)

    def pause_writing(self) -> None:
        """Begin to lose patience."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self.limits.stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Be patient again."""
        self._calm()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._calm()
        super().connection_lost(exc)

    def _calm(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
