"""What every sink can do."""

from __future__ import annotations

from typing import Protocol

from mmedge.runtime.pipeline.status import Status
from mmedge.runtime.pipeline.tick import Tick

__all__ = ["Sink"]


class Sink(Protocol):
    """Takes predictions and the state of the pipeline; all calls come from one thread."""

    @property
    def name(self) -> str:
        """For people and metrics: ``jsonl``."""
        ...

    def emit(self, tick: Tick) -> None:
        """Take one prediction, in order.

        Raises:
            OSError: it cannot be taken now (a full disk). The pipeline counts it, shows
                the sink as degraded, and offers the next one.
        """
        ...

    def show(self, status: Status) -> None:
        """Take the state of the pipeline, some times a second; a sink may ignore it."""
        ...

    def close(self) -> None:
        """Flush and give back what it holds, within a second."""
        ...
