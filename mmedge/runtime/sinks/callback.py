"""Predictions to a function of the app's own."""

from __future__ import annotations

from collections.abc import Callable

from mmedge.runtime.pipeline.status import Status
from mmedge.runtime.pipeline.tick import Tick

__all__ = ["CallbackSink"]


class CallbackSink:
    """Calls a function with every prediction, on the sink's own thread.

    A function that is slower than the predictions loses the oldest that wait, and delays
    nobody. To refuse one for now it raises `OSError`, like any sink.

    Args:
        on_tick: takes the prediction.
        on_status: takes the state of the pipeline, some times a second.
        name: for people and metrics.
    """

    def __init__(
        self,
        on_tick: Callable[[Tick], object],
        *,
        on_status: Callable[[Status], object] | None = None,
        name: str = "callback",
    ) -> None:
        self.name = name
        self._on_tick = on_tick
        self._on_status = on_status

    def emit(self, tick: Tick) -> None:
        """Hand the prediction over."""
        self._on_tick(tick)

    def show(self, status: Status) -> None:
        """Hand the state over, if it is wanted."""
        if self._on_status is not None:
            self._on_status(status)

    def close(self) -> None:
        """Nothing is held."""
