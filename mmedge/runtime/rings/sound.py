"""The newest window of sound, cut by the times at which the samples were captured."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from mmedge.runtime.preprocess.sound import Conformer, Pcm
from mmedge.runtime.rings.ring import Ring, Window
from mmedge.runtime.rings.run import Run
from mmedge.runtime.samples import Block
from mmedge.runtime.windows.cut import NS_PER_MS
from mmedge.specs import Sound

__all__ = ["SoundRing"]

Samples = npt.NDArray[np.float32]

_MAX_BEHIND = 32
"""Windows that one who wants every one may lie behind before some are dropped."""
_MAX_RUNS = 8
_SLACK_MS = 500


class SoundRing(Ring):
    """Sound of one microphone, at the encoder's rate and channels.

    Windows end on the grid of the modality's hop. Lost samples are silence in them; a window
    of which less than half was captured is none. An encoder with state gets the samples of
    one unbroken run, each once.

    Args:
        name: the modality's name.
        spec: rate, channels, window and hop.
        every: give every window, one after the other, not the newest.
        consecutive: every window follows on the samples of the one before, as an encoder
            with state needs them, and not on the grid of time.
    """

    def __init__(
        self, name: str, spec: Sound, *, every: bool = False, consecutive: bool = False
    ) -> None:
        super().__init__(name)
        self._spec = spec
        self._every = every
        self._consecutively = consecutive
        self._hop_ns = spec.hop_ms * NS_PER_MS
        self._hop = spec.rate_hz * spec.hop_ms // 1000
        behind = _MAX_BEHIND if every or consecutive else 1
        self._most = spec.samples + behind * self._hop + spec.rate_hz * _SLACK_MS // 1000
        self._runs: deque[Run] = deque(maxlen=_MAX_RUNS)
        self._feeding: Run | None = None
        self._checked: tuple[int, int] | None = None
        self._taken_ns: int | None = None
        self._taken_place: tuple[int, int] | None = None

    def cut(self, place: tuple[int, ...]) -> Window | None:
        """Cut the window that ends before sample ``place[1]`` of run ``place[0]`` again."""
        if len(place) != 3:
            return None
        number, stop, end_ns = place
        with self._lock:
            run = next((run for run in self._runs if run.number == number), None)
            if run is None or run.stop < stop:
                return None
            if self._consecutively:
                return self._consecutive(run, stop, end_ns, 0)
            return self._place(run, stop, end_ns, 0)

    def check(self, sample: Block) -> None:
        """Refuse sound with channels, or at a rate, that the encoder cannot be given."""
        shape = (sample.rate_hz, sample.samples.shape[1])
        if shape != self._checked:
            Conformer(self._spec, self.name)(Pcm(_scaled(sample), sample.rate_hz))
            self._checked = shape

    def _prepare(self, sample: Block) -> tuple[Run, Block, Samples]:
        # Resampling takes a while and is this thread's alone: no lock is held.
        run = self._feeding
        if run is None or run.number != sample.run or run.device_stop != sample.index:
            run = self._feeding = Run(sample, Conformer(self._spec, self.name), self._spec.rate_hz)
        return run, sample, run.conform(Pcm(_scaled(sample), sample.rate_hz))

    def _keep(self, sample: tuple[Run, Block, Samples]) -> bool:
        run, block, samples = sample
        if not self._runs or self._runs[-1] is not run:
            self._runs.append(run)
        run.add(block, samples)
        run.forget(run.stop - self._most)
        while len(self._runs) > 1 and run.stop > self._most:
            self._runs.popleft()
        if self._consecutively or self._taken_ns is None:
            return True
        return run.reached_ns >= self._taken_ns + self._hop_ns

    def _next(self) -> Window | None:
        if not self._runs:
            return None
        if self._consecutively:
            return self._next_consecutive()
        newest_ns = self._runs[-1].newest_end_ns(self._hop_ns)
        end_ns = self._following_ns() if self._every else newest_ns
        while end_ns <= newest_ns:
            if self._taken_ns is not None and end_ns <= self._taken_ns:
                return None
            passed = 0 if self._taken_ns is None else (end_ns - self._taken_ns) // self._hop_ns - 1
            window = self._window(end_ns, passed)
            if window is not None or self._taken_ns is not None or self._every:
                self._taken_ns = end_ns
            if window is not None:
                return window
            end_ns += self._hop_ns
        return None

    def _following_ns(self) -> int:
        """Give the end after the one taken, or the first that can be cut."""
        oldest_ns = self._runs[0].kept_ns
        if self._runs[0].first:  # what came before has been forgotten
            oldest_ns += self._spec.window_ms * NS_PER_MS
        elif self._taken_ns is not None:
            return self._taken_ns + self._hop_ns
        following_ns = (oldest_ns // self._hop_ns + 1) * self._hop_ns
        return max(following_ns, (self._taken_ns or 0) + self._hop_ns)

    def _window(self, end_ns: int, skipped: int) -> Window | None:
        """Put the window together out of the run that goes on at its end, and those before."""
        run = next((run for run in reversed(self._runs) if run.begun_ns <= end_ns), self._runs[0])
        stop = run.index_at(end_ns)
        if stop is None and run is self._runs[-1]:
            return None
        return self._place(run, run.extrapolate(end_ns) if stop is None else stop, end_ns, skipped)

    def _place(self, run: Run, stop: int, end_ns: int, skipped: int) -> Window | None:
        spec = self._spec
        window = np.zeros((spec.channels, spec.samples), np.float32)
        found = 0
        for each in self._runs:
            its_stop = stop if each is run else each.extrapolate(end_ns)
            found += each.place(window, its_stop - spec.samples)
            if each is run:
                break
        if 2 * found < spec.samples:
            return None
        return self._made(window, run, stop, end_ns, skipped)

    def _next_consecutive(self) -> Window | None:
        taken = self._taken_place
        run = next((r for r in self._runs if taken is not None and r.number == taken[0]), None)
        why, skipped = "", 0
        if run is None or taken is None:
            run, stop = self._runs[-1], self._runs[-1].first + self._spec.samples
            why = "" if taken is None else "there was a gap"
        else:
            stop = taken[1] + self._hop
            if stop > run.stop and run is not self._runs[-1]:  # it has ended
                run = self._runs[-1]
                stop, why = run.first + self._spec.samples, "there was a gap"
            elif stop - self._spec.samples < run.first:
                skipped = -(-(run.first + self._spec.samples - stop) // self._hop)
                stop, why = stop + skipped * self._hop, f"{skipped} windows were dropped"
        if stop > run.stop:
            return None
        self._taken_place = (run.number, stop)
        self._reset = self._reset or why
        return self._consecutive(run, stop, run.time_ns(stop), skipped)

    def _consecutive(self, run: Run, stop: int, end_ns: int, skipped: int) -> Window:
        window = np.zeros((self._spec.channels, self._spec.samples), np.float32)
        run.place(window, stop - self._spec.samples)
        return self._made(window, run, stop, end_ns, skipped)

    def _made(self, window: Samples, run: Run, stop: int, end_ns: int, skipped: int) -> Window:
        spec = self._spec
        return Window(
            raw=window[0] if spec.channels == 1 else window,
            begin_ns=end_ns - spec.window_ms * NS_PER_MS,
            end_ns=end_ns,
            place=(run.number, stop, end_ns),
            skipped=skipped,
            rate_ppm=run.rate_ppm(end_ns, stop),
        )

    def _clear(self) -> None:
        self._runs.clear()
        self._taken_ns = self._taken_place = None

    def _in_order_of_time(self, sample: Block) -> bool:
        # Within a run the samples count, and their times are only as good as a fit.
        if self._runs and self._runs[-1] is self._feeding:
            self._newest_ns = sample.time_ns
        return super()._in_order_of_time(sample)


def _scaled(block: Block) -> Samples:
    scaled: Samples = np.ascontiguousarray(block.samples.T, dtype=np.float32)
    scaled /= np.float32(32768)  # a fresh array: int16 was converted
    return scaled
