"""Keeps a source going: opens it, watches it by its progress, opens it again, for ever.

A device may hang anywhere, so each life of a source has a thread of its own, and what hangs
is left to itself: it closes its device when it wakes. Flags like "is open" are not believed;
only samples count.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from mmedge.errors import ConfigError, IncompatibleError, MmedgeError
from mmedge.runtime.pipeline.rate import Rate
from mmedge.runtime.pipeline.status import SourceStatus
from mmedge.runtime.samples import Block, Sample, SampleKind
from mmedge.runtime.sources import Ended, Source
from mmedge.runtime.sources.address import scrubbed

__all__ = ["SourceSupervisor"]

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 0.7
_MAX_HUNG = 2
_OPENING_MS = 15_000
_MARGIN_MS = 500


class SourceSupervisor:
    """One source over all its lives.

    Args:
        make: gives a fresh, unopened object of the source.
        feeds: kind of sample -> the modality that gets it.
        deliver: takes a modality's name and a sample, on the source's thread; must not wait.
        interrupted: told a modality's name and why its stream does not go on as before.
        clock: the pipeline's.
    """

    def __init__(
        self,
        make: Callable[[], Source],
        feeds: Mapping[SampleKind, str],
        deliver: Callable[[str, Sample], None],
        interrupted: Callable[[str, str], None],
        *,
        clock: Callable[[], int],
    ) -> None:
        self._make = make
        self._feeds = dict(feeds)
        self._deliver = deliver
        self._interrupted = interrupted
        self._clock = clock
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._life = 0
        self._threads: list[threading.Thread] = []
        self._active_ns = clock()
        self._limit_ms = _OPENING_MS
        self._opened = self._samples = 0
        self._run: tuple[int, int] | None = None
        self._runs = 0
        self._rate = Rate()
        self.fault: MmedgeError | None = None
        """What no second try can mend: it was configured wrongly, and never gave anything."""
        first = make()
        self._status = SourceStatus(
            name=first.name, feeds=tuple(self._feeds.values()), state="opening"
        )

    def start(self) -> None:
        """Begin its first life."""
        self._begin()

    def stop(self) -> None:
        """Ask it to end."""
        self._stopped.set()

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended, at most so long; what hangs is left to itself."""
        until_s = time.monotonic() + timeout_s
        for thread in list(self._threads):
            thread.join(max(until_s - time.monotonic(), 0))

    def poll(self) -> None:
        """Leave a life that hangs, and begin another; called some times a second."""
        if self._stopped.is_set() or self.ended:
            return
        with self._lock:
            silent_ms = (self._clock() - self._active_ns) / 1e6
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            if silent_ms <= self._limit_ms:
                return
            self._say("stalled", f"hangs for {silent_ms / 1000:.1f} s")
            if len(self._threads) > _MAX_HUNG:
                return
        self._begin()

    @property
    def ended(self) -> bool:
        """Whether it came to its natural end."""
        return self._status.state == "ended"

    @property
    def state(self) -> SourceStatus:
        """How it is, without what is counted."""
        return self._status

    def status(self) -> SourceStatus:
        """Tell how it is."""
        rate_hz = self._rate.per_second(self._clock())
        sound = set(self._feeds) == {"sound"}
        return replace(
            self._status,
            opened=self._opened,
            samples=self._samples,
            rate_hz=self._status.rate_hz if sound else rate_hz,
        )

    def _begin(self) -> None:
        with self._lock:
            self._life += 1
            self._active_ns, self._limit_ms = self._clock(), _OPENING_MS
            thread = threading.Thread(
                target=self._live, args=(self._life,), name=self._status.name, daemon=True
            )
            self._threads.append(thread)
        thread.start()

    def _wanted(self, life: int) -> bool:
        return life == self._life and not self._stopped.is_set()

    def _live(self, life: int) -> None:
        pause_s = _FIRST_PAUSE_S
        while self._wanted(life):
            begun_ns = self._clock()
            try:
                self._once(life)
            except Ended:
                self._say_if(life, "ended", "came to its end")
                return
            except MmedgeError as exc:
                if not self._samples and isinstance(exc, (ConfigError, IncompatibleError)):
                    self.fault = exc
                self._say_if(life, "waiting", str(exc))
            except Exception as exc:  # noqa: BLE001 - a driver may raise anything; it is tried again
                self._say_if(life, "waiting", scrubbed(f"{type(exc).__name__}: {exc}"))
            if not self._wanted(life):
                return
            lasted_s = (self._clock() - begun_ns) / 1e9
            pause_s = _FIRST_PAUSE_S if lasted_s > 10 else min(2 * pause_s, _LONGEST_PAUSE_S)
            self._pause(pause_s * random.uniform(0.5, 1.0))

    def _pause(self, seconds: float) -> None:
        self._limit_ms = _OPENING_MS
        self._active_ns = self._clock()
        self._stopped.wait(seconds)

    def _once(self, life: int) -> None:
        """Open it and hand on what it gives, until it stops giving."""
        source = self._make()
        try:
            self._active_ns = self._clock()
            granted = source.open()
            if not self._wanted(life):
                return
            self._opened += 1
            self._say_if(life, "opening", "", granted)
            for name in self._feeds.values():
                self._interrupted(name, "start" if self._opened == 1 else "opened again")
            self._limit_ms = source.patience_ms + _MARGIN_MS
            self._read(life, source)
        finally:
            source.close()

    def _read(self, life: int, source: Source) -> None:
        last_ns = self._clock()
        while self._wanted(life):
            sample = source.read()
            now_ns = self._clock()
            if not self._wanted(life):
                return
            self._active_ns = now_ns
            if sample is not None:
                last_ns = now_ns
                self._hand_on(life, sample, now_ns)
            elif now_ns - last_ns > source.patience_ms * 1_000_000:
                self._say_if(life, "stalled", f"gives nothing for {source.patience_ms} ms")
                return

    def _hand_on(self, life: int, sample: Sample, now_ns: int) -> None:
        self._rate.count(now_ns)
        if isinstance(sample, Block):
            sample = self._numbered(sample)
        name = self._feeds.get(sample.kind)
        if name is not None:
            self._deliver(name, sample)
        self._samples += 1
        if self._status.state != "live":
            self._say_if(life, "live", "")

    def _numbered(self, block: Block) -> Block:
        """Count the runs over all lives: every object of a source counts its own from 0."""
        if self._run != (self._opened, block.run):
            self._run = (self._opened, block.run)
            self._runs += 1
        with self._lock:
            if not math.isnan(block.drift_ppm):
                self._status = replace(self._status, drift_ppm=block.drift_ppm)
            self._status = replace(self._status, rate_hz=block.rate_hz)
        return replace(block, run=self._runs)

    def _say_if(self, life: int, state: str, reason: str, granted: str | None = None) -> None:
        with self._lock:
            if life == self._life:
                self._say(state, reason, granted)

    def _say(self, state: str, reason: str, granted: str | None = None) -> None:
        before = self._status
        changes: dict[str, object] = {"state": state, "reason": reason}
        if granted is not None:
            changes["granted"] = granted
        self._status = replace(before, **changes)  # type: ignore[arg-type]
        if (before.state, before.reason) != (state, reason):
            if state in ("stalled", "waiting"):
                if before.state not in ("stalled", "waiting"):
                    told = reason if before.name in reason else f"{before.name}: {reason}"
                    _log.warning("%s (tried again until it is there)", told)
            elif state in ("live", "ended"):
                _log.info("%s: %s %s", self._status.name, state, self._status.granted)
