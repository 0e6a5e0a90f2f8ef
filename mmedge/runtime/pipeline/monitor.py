"""Looks after the parts of a pipeline, some times a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from mmedge.runtime.pipeline.delivery import Delivery
from mmedge.runtime.pipeline.status import Status

__all__ = ["Monitor", "Part", "join_all"]

_POLL_S = 0.05
_SHOW_EVERY = 5


class Part(Protocol):
    """What can be ended, and waited for."""

    def stop(self) -> None:
        """Ask it to end."""
        ...

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended, at most so long."""
        ...


def join_all(several: Iterable[Part], timeout_s: float) -> None:
    """Wait for several, at most so long in all."""
    until_s = time.monotonic() + timeout_s
    for each in several:
        each.join(max(until_s - time.monotonic(), 0))


class Monitor:
    """A thread.

    Args:
        look: looks after everything.
        status: tells the state.
        sinks: are shown it.
        on_failure: told when a bug has ended it; ``failure`` says which.
    """

    def __init__(
        self,
        look: Callable[[], None],
        status: Callable[[], Status],
        sinks: Sequence[Delivery],
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self.progress = 0
        """A number that grows as long as the parts are looked after."""
        self.failure: BaseException | None = None
        """A bug of ours that ended it."""
        self._look, self._status, self._sinks = look, status, sinks
        self._on_failure = on_failure
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end."""
        self._stopped.set()

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended, at most so long."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while not self._stopped.wait(_POLL_S):
                self._look()
                self.progress += 1
                if self._sinks and self.progress % _SHOW_EVERY == 0:
                    status = self._status()
                    for sink in self._sinks:
                        sink.show(status)
        except BaseException as exc:
            self.failure = exc
            self._on_failure()
            raise
