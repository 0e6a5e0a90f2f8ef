"""Sources, engine and sinks, joined and watched."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from mmedge._closing import Closing
from mmedge.bundle import Bundle, open_bundle
from mmedge.errors import MmedgeError
from mmedge.runtime.pipeline.binding import Inputs, bind
from mmedge.runtime.pipeline.board import Board
from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.delivery import Delivery
from mmedge.runtime.pipeline.engine import Engine
from mmedge.runtime.pipeline.feeds import Feed, check_feeds
from mmedge.runtime.pipeline.monitor import Monitor, Part, join_all
from mmedge.runtime.pipeline.newest import Newest
from mmedge.runtime.pipeline.pushing import Pushers
from mmedge.runtime.pipeline.rate import Rate
from mmedge.runtime.pipeline.status import Status, absences
from mmedge.runtime.pipeline.supervisor import SourceSupervisor
from mmedge.runtime.pipeline.swapping import make_fit, take_over
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.samples import Frame, Sample
from mmedge.runtime.sinks.iterator import IteratorConfig, TickIterator

if TYPE_CHECKING:
    from mmedge.runtime.pipeline.recorder import Recorder
    from mmedge.runtime.sinks import Sink

__all__ = ["Pipeline"]

_log = logging.getLogger(__name__)

_READY_MS = 10_000
_SOURCES_S, _ENGINE_S, _SINKS_S, _RECORDER_S = 1.2, 1.0, 1.5, 0.8


class Pipeline(Closing):
    """Predicts live until it is closed.

    >>> inputs = Inputs(cameras=("0",), mics=("default",))
    >>> with Pipeline.open("guard.mmedge", inputs) as pipeline:  # doctest: +SKIP
    ...     for tick in pipeline:
    ...         print(tick.labels, tick.events)

    Args:
        bundle: from `mmedge.open_bundle`.
        feeds: the sources; modalities without one can be pushed, or are absent.
        sinks: where predictions go besides the iterator; closed with the pipeline.
        config: how it behaves.
        backend: what runs the graphs; ``auto`` for what was measured to be fastest here, if need
            be now, but not for a bundle that takes over: what runs would be disturbed, and disturb.
        plan: which of the bundle's plans; ``auto`` for the fastest known to be right here.
        recorder: keeps everything; closed with the pipeline.
        predict: encode and fuse what comes; else it only goes to the recorder.
        clock: one clock for everything; apps need no other than ``time.monotonic_ns``.

    Raises:
        ConfigError: a feed for a modality that the model does not have, or of another kind,
            or two for one.
        ArtefactError, IncompatibleError: the bundle cannot be run here.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        feeds: Sequence[Feed] = (),
        sinks: Sequence[Sink] = (),
        config: LiveConfig | None = None,
        backend: str = "cpu",
        plan: str = "fp32",
        recorder: Recorder | None = None,
        predict: bool = True,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._config = config or LiveConfig()
        self._clock = clock
        self._recorders = [] if recorder is None else [recorder]
        self._predicts = predict
        self._backed: dict[str, Any] = {"backend": backend, "plan": plan, "clock": clock}
        self._fed = check_feeds(feeds, bundle)
        self._ticks = TickIterator(IteratorConfig(queue=self._config.queue))
        self._count, self._rate = 0, Rate()
        self._begun_ns = self._told_ns = clock()
        self._newest = Newest()
        self._prompts: tuple[Sequence[str], str | Sequence[str]] | None = None
        self._engine = self._make_engine(bundle, measure=True)
        self._pushers = Pushers(bundle, self._fed)
        self._sources = [
            SourceSupervisor(
                each.make,
                each.feeds,
                self._deliver,
                lambda name, why: self._engine.rings[name].interrupt(why),
                clock=clock,
            )
            for each in feeds
        ]
        self._sinks = [Delivery(sink, self._config.queue) for sink in sinks]
        self._board = Board()
        self.monitor = Monitor(self._look, self.status, self._sinks, self._ticks.close)
        self._started = self._closed = False
        self._swapping = threading.Lock()

    @classmethod
    def open(cls, path: Path | str, inputs: Inputs | None = None, **options: Any) -> Self:
        """Open a bundle's folder, with devices named as on the command line; none to push.

        ``options`` are those of the class.
        """
        bundle = open_bundle(path)
        feeds = bind(inputs or Inputs(), bundle.manifest.modalities)
        return cls(bundle, feeds=feeds, **options)

    def start(self) -> None:
        """Warm the graphs up and open the sources; a ``with`` or an iteration does it too."""
        if self._started:
            return
        for recorder in self._recorders:
            recorder.start()
        self._started = True
        for source in self._sources:
            source.start()  # a device takes a while: meanwhile the graphs warm up
        if self._predicts:
            self._engine.warm_up()
            self._engine.start()
        self.monitor.start()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __iter__(self) -> Iterator[Tick]:
        """Give predictions as they are made; who is slow loses the oldest. Ends on `close`.

        Raises:
            ConfigError, IncompatibleError: a source cannot work as it was configured (`fault`).
            BaseException: a bug of ours that ended the watch over the parts.
        """
        self.start()
        yield from self._ticks
        failure = self.fault or self.monitor.failure
        if failure is not None:
            raise failure

    def push(self, modality: str, value: Any, time_ns: int | None = None) -> None:
        """Give a sample of a device that the app owns; from any one thread per modality.

        Args:
            modality: whose; it must have no source of its own.
            value: a picture, sound, text or numbers (`Pusher`).
            time_ns: capture time by ``time.monotonic_ns()``; ``None`` for now.

        Raises:
            ConfigError: no such modality, or it does not take such a thing.
        """
        self._deliver(modality, self._pushers.push(modality, value, time_ns, self._clock()))

    def set_prompts(self, texts: Sequence[str], template: str | Sequence[str] = "{}") -> None:
        """Choose among other texts from the next prediction on; see `Predictor.set_prompts`."""
        self._engine.set_prompts(texts, template)
        self._prompts = tuple(texts), template

    def latest_frame(self, modality: str | None = None) -> Frame | None:
        """Give the newest picture of a modality, or of the first that has one."""
        return self._newest.frame(modality)

    def swap(self, bundle: Bundle, check: Callable[[Bundle], None] = lambda _: None) -> None:
        """Predict with another bundle from now on; sources and sinks go on.

        Args:
            bundle: has the modalities that are fed or pushed, and takes what comes from them.
            check: raises if it is not to be trusted with the work.

        Raises:
            MmedgeError: it is not fit; the old one goes on.
        """
        check(bundle)
        engine, samples = self._make_engine(bundle), self._newest.samples()
        make_fit(engine, self._fed, samples, self._prompts, predicts=self._predicts)
        with self._swapping:
            if self._closed:  # meanwhile: nothing is left to take over
                engine.close()
                return
            self._pushers.swap(bundle)
            old, self._engine = self._engine, engine  # from here on samples go to the new rings
            for recorder in self._recorders:
                recorder.swap(bundle)
            if self._predicts:
                take_over(old, engine, self._newest.samples())
            else:
                old.close()
        _log.warning("now predicting with %s (%s)", bundle.manifest.name, bundle.digest[:12])

    def status(self) -> Status:
        """Tell how everything is."""
        now_ns, engine = self._clock(), self._engine
        predictor = engine.predictor
        return Status(
            time_ns=now_ns,
            bundle=predictor.bundle.digest,
            model=predictor.manifest.name,
            plan=predictor.plan,
            ready=self.ready,
            degraded=engine.degraded,
            ticks=self._count,
            rate_hz=self._rate.per_second(now_ns),
            uptime_s=(now_ns - self._begun_ns) / 1e9,
            sources=tuple(source.status() for source in self._sources),
            modalities=engine.status(now_ns),
            sinks=tuple(each.status() for each in self._takers()),
            board=self._board.poll(),
        )

    @property
    def ended(self) -> bool:
        """Whether every source has come to its natural end."""
        return bool(self._sources) and all(source.ended for source in self._sources)

    @property
    def idle(self) -> bool:
        """Whether all that has come is predicted from."""
        return not self._predicts or self._engine.idle

    @property
    def fault(self) -> MmedgeError | None:
        """What no second try can mend: a source that was configured wrongly."""
        return next((source.fault for source in self._sources if source.fault), None)

    @property
    def ready(self) -> bool:
        """Whether predictions are made: one has been, within the last 10 seconds."""
        silent_ns = self._clock() - self._told_ns
        return self._count > 0 and silent_ns < max(_READY_MS, 3 * self._config.heartbeat_ms) * 10**6

    def close(self) -> None:
        """End everything within 5 seconds; what the sinks have taken is flushed."""
        with self._swapping:
            if self._closed:
                return
            self._closed = True
        parts: list[Part] = [self.monitor, *self._sources]
        for part in parts:
            part.stop()
        join_all(parts, _SOURCES_S)
        self._engine.close(_ENGINE_S)
        for sink in self._sinks:
            sink.stop()
        join_all(self._sinks, _SINKS_S)
        for recorder in self._recorders:
            recorder.close(_RECORDER_S)
        self._ticks.close()

    def _takers(self) -> list[Delivery | Recorder | TickIterator]:
        return [*self._sinks, *self._recorders, *([self._ticks] if self._ticks.taken else [])]

    def _make_engine(self, bundle: Bundle, *, measure: bool = False) -> Engine:
        given = {"journal": next(iter(self._recorders), None), "measure": measure, **self._backed}
        return Engine(bundle, self._config, self._emit, **given)

    def _deliver(self, modality: str, sample: Sample) -> None:
        ring = self._engine.rings[modality]
        ring.check(sample)  # what is refused is not recorded either
        for recorder in self._recorders:
            recorder.sample(modality, sample)
        self._newest.keep(modality, sample)
        if self._predicts:
            ring.push(sample)

    def _emit(self, tick: Tick) -> None:
        self._count, self._told_ns = self._count + 1, tick.time_ns
        self._rate.count(tick.time_ns)
        self._ticks.emit(tick)
        for sink in self._sinks:
            sink.put(tick)

    def _look(self) -> None:
        """Look after everything."""
        for source in self._sources:
            source.poll()
        states = [source.state for source in self._sources]
        self._engine.explain_absence(absences(self._pushers.unfed, states))
        self._engine.poll()
        for recorder in self._recorders:
            recorder.poll()
        if self.fault is not None:
            self._ticks.close()
