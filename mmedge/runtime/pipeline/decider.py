"""Predicts whenever a prediction is due, on one thread at a time.

The head has a thread of its own, so one that is slow holds up nobody: encoders leave their
embeddings and go on, and what came meanwhile is fused as one. As long as the head is quick,
the encoder's thread that brings an embedding predicts itself: to hand it over would cost
more than the prediction. A head that is no longer quick holds such a thread up once.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

from mmedge.runtime.pipeline.fusing import Desk, Fuser, Selection
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.pipeline.worker import pause_s

__all__ = ["Decider"]

_log = logging.getLogger(__name__)

_WAIT_NS, _LEAST_WAIT_NS = 200_000_000, 1_000_000
_QUICK_NS = 1_000_000


class Decider:
    """Predicts.

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
        self._quick = False
        self._looks_ns: float = 0
        self._thread = threading.Thread(target=self._run, name="fuse", daemon=True)
        self.degraded = ""
        """What the head suffers from; empty if it is sound."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def tell(self) -> None:
        """Say that a prediction may be due; it is made here and now if that is quick."""
        if not (self._quick and self.making.acquire(blocking=False)):
            self.wake()
            return
        try:
            selection = self._next()
            if selection is not None:
                self._predict(selection)
        finally:
            self.making.release()
        if self._desk.wakes_ns < self._looks_ns:
            self.wake()  # or the thread would sleep through it

    def wake(self) -> None:
        """Have the thread look whether a prediction is due."""
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
        """Whether its thread still runs, or another makes a prediction."""
        return self._thread.is_alive() or self.making.locked()

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
                selection = self._next()
                failed = selection is not None and not self._predict(selection)
            if failed:
                self._recover()
            elif selection is None:
                self._sleep()

    def _next(self) -> Selection | None:
        """Give what is due."""
        with self._lock:
            now_ns = self._clock()
            if self._stopped.is_set() or not self._desk.due(now_ns):
                return None
            self._busy_since_ns = now_ns
            return self._desk.select(now_ns)

    def _sleep(self) -> None:
        """Wait until something may be due."""
        with self._lock:  # others look when, after they have chosen what to predict from
            now_ns = self._clock()
            self._looks_ns = min(self._desk.wakes_ns, now_ns + _WAIT_NS)
        try:
            self._bell.get(timeout=max(self._looks_ns - now_ns, _LEAST_WAIT_NS) / 1e9)
        except queue.Empty:
            return

    def _predict(self, selection: Selection) -> bool:
        """Make one prediction; tell whether that went well."""
        begun_ns = time.perf_counter_ns()
        try:
            prediction = self._fuser.predict(selection)
        except Exception as exc:  # noqa: BLE001 - a model that raises must not end the stream
            self._busy_since_ns = None
            self._failures, self._quick = self._failures + 1, False
            self.degraded = f"the fusion head fails: {exc}"
            if self._failures == 1:
                _log.warning("%s", self.degraded)
            return False
        took_ns = time.perf_counter_ns() - begun_ns
        with self._finishing:
            if self._stopped.is_set():
                return True  # it took too long, and another has taken over
            self._failures, self._quick, self.degraded = 0, took_ns < _QUICK_NS, ""
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
