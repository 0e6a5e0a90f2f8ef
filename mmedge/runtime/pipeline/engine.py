"""The part of a pipeline that belongs to one bundle: rings, encoders, fusion.

An encoder has a thread of its own and runs when its ring has something new; ONNX Runtime
lets other threads go on meanwhile. There is no thread for fusion: whoever brings an
embedding looks whether a prediction is due and makes it, and while one is being made the
others only leave their embeddings and go on. So a hand-over less is paid for, and
predictions come one after the other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from mmedge.bundle import Bundle
from mmedge.manifest import FUSION
from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.encoding import Encoding, EncodingStage
from mmedge.runtime.pipeline.fusing import Desk, Fuser, Selection
from mmedge.runtime.pipeline.status import ModalityStatus
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.pipeline.worker import Worker
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.rings import make_ring

__all__ = ["Engine", "Journal"]

_MAX_HUNG = 3
_SLOW_MS = 5.0


class Journal(Protocol):
    """Told what was consumed, in the order in which it was; must not wait."""

    def prompts(self, texts: Sequence[str], template: str) -> None:
        """A matching task chooses among these from now on."""
        ...

    def encoding(self, encoding: Encoding) -> None:
        """An embedding was made, and may be fused from now on."""
        ...

    def selection(self, selection: Selection, tick: Tick) -> None:
        """A prediction was made of these."""
        ...


class Engine:
    """Encodes and fuses with one bundle until it is closed.

    Args:
        bundle: what predicts.
        config: policy, ages, limits.
        on_tick: told every prediction, in order; must not wait.
        backend: what runs the graphs.
        plan: which of the bundle's plans.
        journal: told what was consumed.
        clock: the pipeline's.

    Raises:
        ConfigError, ArtefactError, IncompatibleError: as for `Predictor`.
    """

    def __init__(
        self,
        bundle: Bundle,
        config: LiveConfig,
        on_tick: Callable[[Tick], None],
        *,
        backend: str = "cpu",
        plan: str = "fp32",
        journal: Journal | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        config.check(bundle.manifest.modalities)
        self._config = config
        self._on_tick = on_tick
        self._journal = journal
        self._clock = clock
        self.predictor = Predictor(
            bundle, backend=backend, plan=plan, threads=config.threads or 1, spin=False
        )
        self.rings = {
            name: make_ring(name, modality, consecutive=name in bundle.manifest.states)
            for name, modality in bundle.manifest.modalities.items()
        }
        self._workers: dict[str, Worker] = {}
        self._lock = threading.Lock()
        self._fusing = threading.Lock()
        self._fusing_since_ns: int | None = None
        self._desk = Desk(self.predictor, config)
        self._fuser = Fuser(self.predictor, config)
        self._hung = 0
        self.degraded = ""
        """What the fusion head suffers from; empty if it is sound."""

    @property
    def next(self) -> int:
        """Number of the next prediction."""
        return self._fuser.next

    def warm_up(self) -> None:
        """Run every graph, and give one that is slow more threads, unless it is said how many.

        Where one thread is fast enough, handing parts to others costs more than it saves.
        """
        took_ms = self.predictor.warm_up()
        if self._config.threads is None and self.predictor.kind == "cpu":
            slow = [name for name, each_ms in took_ms.items() if each_ms > _SLOW_MS]
            for name in slow:
                self.predictor.reopen(name, threads=None)
            if slow:
                self.predictor.warm_up()

    def start(self, first: int = 0) -> None:
        """Begin to encode what comes into the rings; ``first`` numbers the first prediction."""
        self._fuser.next = first
        for name in self.rings:
            self._begin(name)

    def set_prompts(self, texts: Sequence[str], template: str) -> None:
        """Choose among other texts from the next prediction on."""
        with self._fusing:  # the journal tells which predictions knew them
            self.predictor.set_prompts(texts, template)
            if self._journal is not None:
                self._journal.prompts(texts, template)
        self._fuse_if_due()

    def close(self, timeout_s: float = 1.0) -> None:
        """End all encoders and give the graphs back; waits at most so long."""
        until_s = time.monotonic() + timeout_s
        for worker in self._workers.values():
            worker.stop()
        for worker in self._workers.values():
            worker.join(max(until_s - time.monotonic(), 0))
        if not any(worker.alive for worker in self._workers.values()):
            self.predictor.close()  # else the hung one still needs its graph

    def poll(self) -> None:
        """Look after what hangs, and keep the heartbeat; called some times a second."""
        now_ns = self._clock()
        for name, worker in list(self._workers.items()):
            if worker.hangs(now_ns):
                self._abandon(name, worker)
        since_ns = self._fusing_since_ns
        if since_ns is not None and now_ns - since_ns > self._config.hang_ms * 1_000_000:
            self._abandon_fusion()
        self._fuse_if_due()

    def explain_absence(self, reasons: Mapping[str, str]) -> None:
        """Take what is known of why modalities have no input, by name."""
        with self._lock:
            self._desk.explain_absence(reasons)

    def status(self, now_ns: int) -> dict[str, ModalityStatus]:
        """Tell how every modality is."""
        with self._lock:
            selection = self._desk.peek(now_ns)
            ages_ns = {name: self._desk.age_ns(name, now_ns) for name in self.rings}
        return {
            name: worker.status(selection.absent.get(name, ""), ages_ns[name])
            for name, worker in self._workers.items()
        }

    def _begin(self, name: str, *, inherit: Worker | None = None) -> None:
        first = 0 if inherit is None else inherit.stage.next
        stage = EncodingStage(name, self.predictor, first)
        rate_hz = self._config.max_rate_hz.get(name)
        worker = Worker(
            stage,
            self.rings[name],
            self._deliver,
            lambda: self.predictor.reopen(name),
            hang_ms=self._config.hang_ms,
            period_ns=0 if rate_hz is None else int(1e9 / rate_hz),
            clock=self._clock,
            inherit=inherit,
        )
        self._workers[name] = worker
        worker.start()

    def _abandon(self, name: str, worker: Worker) -> None:
        """Leave a hung encoder to itself, and begin another with a graph of its own."""
        worker.stop()
        if worker.generation >= _MAX_HUNG:
            worker.give_up()
            return
        self.predictor.reopen(name)
        self.rings[name].interrupt("its encoder hung")
        self._begin(name, inherit=worker)

    def _abandon_fusion(self) -> None:
        self._hung += 1
        self.degraded = f"the fusion head hung ({self._hung} times)"
        if self._hung <= _MAX_HUNG:
            self.predictor.reopen(FUSION)
            self._fusing, self._fusing_since_ns = threading.Lock(), None

    def _deliver(self, encoding: Encoding) -> None:
        with self._lock:
            self._desk.put(encoding)
            if self._journal is not None:
                self._journal.encoding(encoding)
        self._fuse_if_due()

    def _fuse_if_due(self) -> None:
        while self._due():
            lock = self._fusing
            if not lock.acquire(blocking=False):
                return  # whoever holds it looks again when it is done
            try:
                self._fuse()
            finally:
                self._fusing_since_ns = None
                lock.release()

    def _due(self) -> bool:
        with self._lock:
            return self._desk.due(self._clock())

    def _fuse(self) -> None:
        with self._lock:
            now_ns = self._clock()
            if not self._desk.due(now_ns):
                return
            selection = self._desk.select(now_ns)
        self._fusing_since_ns = now_ns
        lock = self._fusing
        try:
            tick = self._fuser(selection, time.time_ns())
        except Exception as exc:  # noqa: BLE001 - a model that raises must not end the stream
            self.degraded = f"the fusion head fails: {exc}"
            return
        if lock is not self._fusing:
            return  # it hung, and another has taken over
        self.degraded = ""
        if self._journal is not None:
            self._journal.selection(selection, tick)
        self._on_tick(tick)
