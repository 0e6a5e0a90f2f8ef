"""The part of a pipeline that belongs to one bundle: rings, encoders, fusion.

An encoder has a thread of its own and runs when its ring has something new; ONNX Runtime
lets other threads go on meanwhile. The fusion head has one too (`Decider`), which predicts
when that is due, unless the head is so quick that an encoder's thread does it in passing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from mmedge.bundle import Bundle
from mmedge.errors import MmedgeError
from mmedge.manifest import FUSION
from mmedge.runtime.choosing import choose
from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.decider import Decider
from mmedge.runtime.pipeline.encoding import Encoding, EncodingStage
from mmedge.runtime.pipeline.events import EventTracker
from mmedge.runtime.pipeline.fusing import Desk, Fuser, Selection
from mmedge.runtime.pipeline.status import ModalityStatus
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.pipeline.worker import Worker
from mmedge.runtime.plans import refuse_imitation
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.rings import make_ring
from mmedge.runtime.warming import warm_up

__all__ = ["Engine", "Journal"]

_log = logging.getLogger(__name__)

_MAX_HUNG = 3


class Journal(Protocol):
    """Told what was consumed, in the order in which it was; must not wait."""

    def prompts(self, texts: Sequence[str], template: str | Sequence[str]) -> None:
        """A matching task chooses among these from now on."""
        ...

    def threads(self, graphs: Mapping[str, int | None], backend: str, plan: str) -> None:
        """The graphs run so, with so many threads each, from now on; sums depend on it."""
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
        backend: what runs the graphs, or ``auto``.
        plan: which of the bundle's plans, or ``auto``.
        measure: as for `choose`.
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
        measure: bool = False,
        journal: Journal | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        config.check(bundle.manifest.modalities)
        self._config = config
        self._on_tick = on_tick
        self._journal = journal
        self._clock = clock
        threads = config.threads or 1
        choice = choose(bundle, backend, plan, threads=threads, measure=measure)
        refuse_imitation(bundle.manifest.plans, choice.plan, choice.backend)
        if choice.why:  # at start and at every reload, so that no other one runs unsaid
            _log.warning("%s", choice)
        self.predictor = Predictor(
            bundle, backend=choice.backend, plan=choice.plan, threads=threads, spin=False
        )
        self.rings = {
            name: make_ring(name, modality, consecutive=name in bundle.manifest.states)
            for name, modality in bundle.manifest.modalities.items()
        }
        self._workers: dict[str, Worker] = {}
        self._lock = threading.Lock()
        self._desk = Desk(self.predictor, config)
        self._fuser = Fuser(self.predictor, config)
        self._decider = self._make_decider()
        self._hung: dict[str, list[Any]] = {}

    @property
    def degraded(self) -> str:
        """What the fusion head suffers from; empty if it is sound."""
        return self._decider.degraded

    @property
    def idle(self) -> bool:
        """Whether all that has come has been encoded and predicted from."""
        # In the order of the data's way. An encoder looks for the next window only when it has
        # handed its work on, so what is no longer waiting is seen by the fusion.
        waiting = any(ring.waiting for ring in self.rings.values())
        return not waiting and self._decider.idle

    @property
    def tracker(self) -> EventTracker:
        """What follows scores and events."""
        return self._fuser.tracker

    @property
    def next(self) -> int:
        """Number of the next prediction."""
        return self._fuser.next

    def warm_up(self) -> None:
        """Run every graph, and give one that is slow more threads, unless it is said how many."""
        warm_up(self.predictor, widen=self._config.threads is None)

    def start(self, first: int = 0) -> None:
        """Begin to encode what comes into the rings; ``first`` numbers the first prediction."""
        self._fuser.next = first
        if self._journal is not None:
            predictor = self.predictor
            self._journal.threads(predictor.threads, predictor.backend, predictor.plan)
        for name in self.rings:
            self._begin(name, EncodingStage(name, self.predictor))
        self._decider.start()

    def set_prompts(self, texts: Sequence[str], template: str | Sequence[str]) -> None:
        """Choose among other texts from the next prediction on."""
        decider = self._decider
        while not decider.making.acquire(timeout=0.2):
            decider = self._decider  # the one before may hang for ever
        try:  # between two predictions, so that the journal tells which of them knew
            self.predictor.set_prompts(texts, template)
            if self._journal is not None:
                self._journal.prompts(texts, template)
        finally:
            decider.making.release()
        decider.wake()

    def close(self, timeout_s: float = 1.0) -> None:
        """End all encoders and the head, and give the graphs back; waits at most so long."""
        until_s = time.monotonic() + timeout_s
        running: list[Worker | Decider] = [*self._workers.values(), self._decider]
        for each in running:
            each.stop()
        for each in running:
            each.join(max(until_s - time.monotonic(), 0))
        if not any(each.alive for each in running):
            self.predictor.close()  # else what hangs still needs its graph

    def poll(self) -> None:
        """Look after what hangs; called some times a second."""
        now_ns = self._clock()
        for name, worker in list(self._workers.items()):
            if worker.hangs(now_ns):
                self._abandon(name, worker)
            elif worker.held_up(now_ns):  # by a head that was quick; what it holds is past encoding
                worker.stop()
                self._begin(name, worker.stage, inherit=worker)
        if self._decider.hangs(now_ns):
            self._abandon_fusion()

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
            for name, worker in list(self._workers.items())
        }

    def _begin(
        self, name: str, stage: EncodingStage, *, inherit: Worker | None = None, why: str = ""
    ) -> None:
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
        worker.say(why)
        self._workers[name] = worker
        worker.start()

    def _abandon(self, name: str, worker: Worker) -> None:
        """Leave a hung encoder to itself, and begin another with a graph of its own."""
        self._hung[name] = [each for each in self._hung.get(name, []) if each.alive]
        if len(self._hung[name]) >= _MAX_HUNG:
            worker.say(f"its encoder hangs {_MAX_HUNG + 1} times over; waiting for one to return")
            return
        try:
            self.predictor.reopen(name)
        except MmedgeError as exc:
            worker.say(f"its encoder hangs, and cannot be opened again: {exc}")
            return
        worker.stop()
        self._hung[name].append(worker)
        self.rings[name].interrupt("its encoder hung")
        stage = EncodingStage(name, self.predictor, worker.stage.next)
        worker.hung += 1
        why = f"its encoder hung; begun anew ({worker.hung} times)"
        self._begin(name, stage, inherit=worker, why=why)

    def _abandon_fusion(self) -> None:
        """Leave a hung fusion head to itself, and begin another."""
        hung = self._decider
        self._hung[FUSION] = [each for each in self._hung.get(FUSION, []) if each.alive]
        if len(self._hung[FUSION]) >= _MAX_HUNG:
            hung.degraded = f"the fusion head hangs {_MAX_HUNG + 1} times over"
            return
        try:
            self.predictor.reopen(FUSION)
        except MmedgeError as exc:
            hung.degraded = f"the fusion head hangs, and cannot be opened again: {exc}"
            return
        hung.stop()
        self._hung[FUSION].append(hung)
        self._decider = self._make_decider()
        self._decider.degraded = "the fusion head hung, and was begun anew"
        self._decider.start()

    def _make_decider(self) -> Decider:
        return Decider(
            self._desk,
            self._lock,
            self._fuser,
            self._predicted,
            lambda: self.predictor.reopen(FUSION),
            hang_ms=self._config.hang_ms,
            clock=self._clock,
        )

    def _deliver(self, encoding: Encoding) -> None:
        with self._lock:
            self._desk.put(encoding)
            if self._journal is not None:
                self._journal.encoding(encoding)
        self._decider.tell()

    def _predicted(self, selection: Selection, tick: Tick) -> None:
        if self._journal is not None:
            self._journal.selection(selection, tick)
        self._on_tick(tick)
