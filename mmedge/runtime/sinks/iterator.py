"""Predictions to a ``for`` loop."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from mmedge.errors import ConfigError
from mmedge.runtime.pipeline.status import SinkStatus, Status
from mmedge.runtime.pipeline.tick import Tick

__all__ = ["IteratorConfig", "TickIterator"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IteratorConfig:
    """How many predictions wait for a loop that is slower than they come."""

    queue: int = 16

    def __post_init__(self) -> None:
        if self.queue < 1:
            raise ConfigError(f"queue={self.queue}: at least one prediction must be able to wait.")


class TickIterator(Iterator[Tick]):
    """A sink on one side and an iterator on the other, for one reader.

    A slow reader loses the oldest that wait, which are counted in ``dropped``; what it got is
    in ``taken``. After `close` it still gets what waits, and then the iteration ends.
    """

    name = "iterator"

    def __init__(self, config: IteratorConfig | None = None) -> None:
        self.taken = self.dropped = 0
        self._waiting: deque[Tick] = deque(maxlen=(config or IteratorConfig()).queue)
        self._changed = threading.Condition()
        self._closed = False

    def emit(self, tick: Tick) -> None:
        """Put it in the queue; the oldest makes way."""
        with self._changed:
            self.dropped += len(self._waiting) == self._waiting.maxlen
            self._waiting.append(tick)
            self._changed.notify()

    def show(self, status: Status) -> None:
        """Nothing is shown."""

    def status(self) -> SinkStatus:
        """Tell what the reader got and lost."""
        return SinkStatus(name=self.name, taken=self.taken, dropped=self.dropped)

    def close(self) -> None:
        """End the iteration after what waits; closing twice is fine."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __next__(self) -> Tick:
        with self._changed:
            # With a time-out, because without one Ctrl-C does not wake the main thread on
            # every system.
            while not self._waiting and not self._closed:
                self._changed.wait(timeout=0.5)
            if not self._waiting:
                raise StopIteration
            self.taken += 1
            return self._waiting.popleft()
