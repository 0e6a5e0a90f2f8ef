"""When pushed sound was captured: by the app's stamps, or by when it was pushed.

An app's stamps are as good as its sound server's or its scheduler's: exact, or some
milliseconds early here and late there. The same line as a microphone's
(`mmedge.runtime.windows.sample_line`) is fitted to them, so that no window is cut by the
scatter of one stamp. How far stamps have strayed so far decides what a stamp that strays
further means: a gap.

No I/O, no clock is read here.
"""

from __future__ import annotations

import math

from mmedge.runtime.windows.audio_clock import AudioClock, Handover, Placed
from mmedge.runtime.windows.cut import NS_PER_MS, NS_PER_S
from mmedge.runtime.windows.rate_watch import RateWatch
from mmedge.runtime.windows.sample_line import SampleLine

__all__ = ["ArrivalClock", "PushedClock"]

GAP_NS = 50 * NS_PER_MS
"""Sound that comes so much later or earlier than the samples before it begins a new run..."""
LEAST_GAP_NS = 10 * NS_PER_MS
"""... or by two blocks, if they are short, but not by less."""
STRAY_NS = 3 * NS_PER_MS
"""Stamps may always stray so far."""
STRAYS = 6
"""... or so many times as far as they do on the average."""
LEARNED_AFTER = 10
SMOOTHING = 0.02
BANDWIDTH_HZ = 0.02


class PushedClock:
    """Places blocks that an app has stamped with the time of their capture.

    Args:
        rate_hz: frames per second.
        run: number of the first run.

    Attributes:
        run: number of the current run.
    """

    def __init__(self, rate_hz: int, run: int) -> None:
        self.run = run
        self._line = SampleLine(rate_hz)
        self._rates = RateWatch()
        self._index = self._run_index = 0
        self._stray_ns = 0.0
        self._followed = -1  # -1 before the first block
        self._doubted_ns = math.inf

    def place(self, frames: int, stamp_ns: int) -> Placed:
        """Place the next block.

        Args:
            frames: in the block.
            stamp_ns: when its first frame was captured, as the app says.
        """
        line = self._line
        late_ns = stamp_ns - line.at(self._index)
        found = self._rates.see(self._index, stamp_ns, line.period_ns)
        if self._followed < 0:
            line.anchor(self._index, stamp_ns)
            self._followed = 0
        elif found is not None:
            line.go_by(found.period_ns)
            self._begin_run(found.at(self._index))
        elif self._is_gap(late_ns, frames):
            self._begin_run(stamp_ns)
        elif math.isinf(self._doubted_ns):
            self._follow(late_ns, frames)
        placed = Placed(
            line.at(self._index), self.run, self._index - self._run_index, line.drift_ppm
        )
        self._index += frames
        line.advance(frames)
        return placed

    def _is_gap(self, late_ns: int, frames: int) -> bool:
        """Tell whether samples are missing before this block, or a clock was set.

        A stamp that strays too far is doubted, and proves it if the one before strayed alike.
        """
        gap_ns = min(GAP_NS, max(LEAST_GAP_NS, 2 * frames * self._line.period_ns))
        stray_ns = gap_ns
        if self._followed >= LEARNED_AFTER:
            stray_ns = min(max(STRAY_NS, STRAYS * self._stray_ns), gap_ns)
        before_ns, self._doubted_ns = self._doubted_ns, math.inf
        if abs(late_ns) <= stray_ns:
            return False
        self._doubted_ns = late_ns
        return abs(late_ns) > gap_ns or abs(late_ns - before_ns) < stray_ns

    def _begin_run(self, time_ns: int) -> None:
        self._line.anchor(self._index, time_ns)
        self.run += 1
        self._run_index = self._index
        self._doubted_ns, self._followed = math.inf, 0

    def _follow(self, late_ns: int, frames: int) -> None:
        self._line.follow(late_ns, late_ns, frames, BANDWIDTH_HZ)
        self._followed += 1
        step = max(1 / self._followed, SMOOTHING)
        self._stray_ns += step * (abs(late_ns) - self._stray_ns)


class ArrivalClock:
    """Places blocks of which nothing is known but when they were pushed, with their last frame.

    The earliest pushes count, as with a microphone without stamps; see `AudioClock`.

    Args:
        rate_hz: frames per second.
        run: number of the first run.
    """

    def __init__(self, rate_hz: int, run: int) -> None:
        self._rate_hz = rate_hz
        self._clock = AudioClock(rate_hz, run)
        self._index = 0
        self._pushed_ns: int | None = None

    @property
    def run(self) -> int:
        """Number of the current run."""
        return self._clock.run

    def place(self, frames: int, end_ns: int) -> Placed:
        """Place the next block, which was pushed at ``end_ns``."""
        length_ns = frames * NS_PER_S // self._rate_hz
        before_ns, self._pushed_ns = self._pushed_ns, end_ns
        if before_ns is not None and end_ns - before_ns > length_ns + GAP_NS:
            self._clock, self._index = AudioClock(self._rate_hz, self._clock.run + 1), 0
        handover = Handover(index=self._index, frames=frames, host_ns=end_ns, wall_ns=end_ns)
        (placed,) = self._clock.place(handover)
        self._index += frames
        return placed
