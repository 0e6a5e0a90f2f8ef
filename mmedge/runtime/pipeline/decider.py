"""The thread of the fusion head: predicts whenever a prediction is due.

No other thread calls the head, so a head that is slow or hangs holds up nobody: encoders
leave their embeddings and go on, and what came meanwhile is fused as one.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable

from mmedge.runtime.pipeline.fusing import Desk, Fuser, Selection
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.pipeline.worker import pause_s

__all__ = ["Decider"]

_log = logging.getLogger(__name__)

_WAIT_S = 0.2


class Decider:
    """Predicts on one thread.

    Args:
        desk: what counts now; its lock is ``lock``.
        lock: held while the desk is looked at.
        fuser: makes the predictions; no other thread finishes one.
        deliver: takes each, in order.
        reopen: gives the head a new graph, after it has failed some times in a row.
        hang_ms: one prediction may take so long.
        clock: the pipeline's.
    """

    def __init__(
        self,
        desk: Desk,
        lock: threading.Lock,
        fuser: Fuser,
        deliver: Callable[[Selection, Tick], None],
        reopen: Callable[[], None],
        *,
        hang_ms: int,
        clock: Callable[[], int],
    ) -> None:
        self._desk = desk
        self._lock = lock
        self._fuser = fuser
        self._deliver = deliver
        self._reopen = reopen
        self._hang_ns = hang_ms * 1_000_000
        self._clock = clock
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self.making = threading.Lock()
        """Held while a prediction is made; whoever changes the model waits for it."""
        self._finishing = threading.Lock()
        self._busy_since_ns: int | None = None
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="fuse", daemon=True)
        self.degraded = ""
        """What the head suffers from; empty if it is sound."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Say that a prediction may be due."""
        if self._bell.empty():
            self._bell.put(None)

    def stop(self) -> None:
        """Ask it to end; what it is still making is thrown away."""
        with self._finishing:
            self._stopped.set()
        self.wake()

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended, at most so long."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    @property
    def alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    @property
    def idle(self) -> bool:
        """Whether nothing is being made, and nothing is due."""
        with self._lock:
            return self._busy_since_ns is None and not self._desk.due(self._clock())

    def hangs(self, now_ns: int) -> bool:
        """Tell whether the prediction that is being made takes too long."""
        since_ns = self._busy_since_ns
        return since_ns is not None and now_ns - since_ns > self._hang_ns

    def _run(self) -> None:
        while not self._stopped.is_set():
            with self.making:
                selection, ahead_ns = self._next()
                failed = selection is not None and not self._predict(selection)
            if failed:
                self._recover()
            elif selection is None:
                self._sleep(ahead_ns)

    def _next(self) -> tuple[Selection | None, float]:
        """Give what is due, or how far ahead the next is at the latest."""
        with self._lock:
            now_ns = self._clock()
            if not self._desk.due(now_ns):
                return None, self._desk.wakes_ns - now_ns
            self._busy_since_ns = now_ns
            return self._desk.select(now_ns), 0

    def _sleep(self, ahead_ns: float) -> None:
        wait_s = _WAIT_S if math.isinf(ahead_ns) else min(max(ahead_ns / 1e9, 0.001), _WAIT_S)
        try:
            self._bell.get(timeout=wait_s)
        except queue.Empty:
            return

    def _predict(self, selection: Selection) -> bool:
        """Make one prediction; tell whether that went well."""
        begun_ns = time.perf_counter_ns()
        try:
            prediction = self._fuser.predict(selection)
        except Exception as exc:  # noqa: BLE001 - a model that raises must not end the stream
            self._busy_since_ns = None
            self._failures += 1
            self.degraded = f"the fusion head fails: {exc}"
            if self._failures == 1:
                _log.warning("%s", self.degraded)
            return False
        took_ns = time.perf_counter_ns() - begun_ns
        with self._finishing:
            if self._stopped.is_set():
                return True  # it took too long, and another has taken over
            self._failures, self.degraded = 0, ""
            tick = self._fuser.finish(selection, prediction, time.time_ns(), took_ns)
            self._deliver(selection, tick)
            self._busy_since_ns = None
        return True

    def _recover(self) -> None:
        """Open the head anew after some failures in a row, later each time."""
        wait_s = pause_s(self._failures)
        if wait_s and not self._stopped.wait(wait_s):
            try:
                self._reopen()
            except Exception as broken:  # noqa: BLE001 - tried again after the next failures
                self.degraded = f"the fusion head cannot be opened again: {broken}"
