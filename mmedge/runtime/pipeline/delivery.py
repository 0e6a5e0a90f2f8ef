"""Hands predictions to a sink on a thread of the sink's own."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from mmedge.runtime.pipeline.status import SinkStatus, Status
from mmedge.runtime.pipeline.tick import Tick

if TYPE_CHECKING:
    from mmedge.runtime.sinks import Sink

__all__ = ["Delivery"]

_log = logging.getLogger(__name__)


class Delivery:
    """A short queue before a sink; when it is full the oldest is lost and counted.

    Args:
        sink: gets everything on one thread.
        most: predictions that may wait.
    """

    def __init__(self, sink: Sink, most: int) -> None:
        self._sink = sink
        self._most = most
        self._ticks: deque[Tick] = deque()
        self._status: Status | None = None
        self._changed = threading.Condition()
        self._closing = False
        self._counts = SinkStatus(name=sink.name)
        self._thread = threading.Thread(target=self._run, name=f"sink-{sink.name}", daemon=True)
        self._thread.start()

    def put(self, tick: Tick) -> None:
        """Leave a prediction; never waits."""
        with self._changed:
            if len(self._ticks) == self._most:
                self._ticks.popleft()
                self._counts = replace(self._counts, dropped=self._counts.dropped + 1)
            self._ticks.append(tick)
            self._changed.notify()

    def show(self, status: Status) -> None:
        """Leave the newest state; never waits."""
        with self._changed:
            self._status = status
            self._changed.notify()

    def status(self) -> SinkStatus:
        """Tell how the sink is."""
        return self._counts

    def stop(self) -> None:
        """Ask the sink to take what waits, and to close."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def join(self, timeout_s: float) -> None:
        """Wait until it is closed, at most so long; one that hangs is left to itself."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._ticks or self._status or self._closing):
                    self._changed.wait()
                ticks, status = list(self._ticks), self._status
                self._ticks.clear()
                self._status = None
                closing = self._closing
            for tick in ticks:
                self._try(self._sink.emit, tick)
            if status is not None:
                self._try(self._sink.show, status)
            if closing and not ticks:
                self._try(self._sink.close)
                return

    def _try(self, call: object, *arguments: object) -> None:
        try:
            call(*arguments)  # type: ignore[operator]
        except Exception as exc:  # noqa: BLE001 - a full disk or a gone reader ends no prediction
            if not self._counts.degraded:
                _log.warning("sink %s: %s", self._sink.name, exc)
            with self._changed:  # `put` counts as well
                self._counts = replace(self._counts, degraded=str(exc) or type(exc).__name__)
            return
        if arguments and isinstance(arguments[0], Tick):
            with self._changed:
                self._counts = replace(self._counts, taken=self._counts.taken + 1, degraded="")
