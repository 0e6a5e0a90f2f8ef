"""Tells a device that keeps another rate than it promised from one that loses samples.

Both deliver too few frames. A loss is a step, while a wrong rate is even: then one straight
line leads through everything that was seen, only not at the promised slope. What loses a
little evenly all the time is no different from a wrong rate, and counts as one.

No I/O, no clock is read here.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmedge.runtime.windows.cut import NS_PER_MS, NS_PER_S

__all__ = ["RateWatch", "SteadyRate"]

Ints = npt.NDArray[np.int64]

STRETCH_NS = 5 * NS_PER_S
"""It has to be even for so long."""
EVEN_NS = 2 * NS_PER_MS
"""Stamps scatter by 0.25 ms around the line of a steady rate. A loss of twice this bends it more,
and a smaller one, amid a stretch, tilts it by less than `WRONG_PPM`."""
WRONG_PPM = 1600.0
"""Ten times what the worst quartz is off by."""
LEAST_SEEN = 8
AMONG_NS = 10 * NS_PER_MS
"""One observation within so long is enough: a stretch has five hundred at most."""


@dataclass(frozen=True, slots=True)
class SteadyRate:
    """A straight line from frame numbers to host time."""

    index: int
    time_ns: int
    period_ns: float

    def at(self, index: int) -> int:
        """Give the time of a frame."""
        return self.time_ns + round((index - self.index) * self.period_ns)


class RateWatch:
    """Looks at when frames were captured, one stretch of time after the other."""

    def __init__(self) -> None:
        self._frames, self._times_ns = array("q"), array("q")
        self._since_ns = 0

    def see(
        self, index: int, time_ns: int, period_ns: float, *, among_ns: int = AMONG_NS
    ) -> SteadyRate | None:
        """Take an observation.

        Args:
            index: a frame.
            time_ns: when it was captured.
            period_ns: from one frame to the next, as expected.
            among_ns: only the earliest within so long counts; more for times of arrival.

        Returns:
            The rate, if a stretch has ended in which it was steady and by far not the
            expected one.
        """
        frames, times_ns = self._frames, self._times_ns
        if times_ns and time_ns < times_ns[0]:  # a clock was set
            del frames[:], times_ns[:]
        if times_ns and time_ns - self._since_ns < among_ns:
            late_ns = time_ns - times_ns[-1] - (index - frames[-1]) * period_ns
            if late_ns < 0:
                frames[-1], times_ns[-1] = index, time_ns
        else:
            frames.append(index)
            times_ns.append(time_ns)
            self._since_ns = time_ns
        if time_ns - times_ns[0] < STRETCH_NS:
            return None
        self._frames, self._times_ns = array("q"), array("q")
        return _steady(np.array(frames), np.array(times_ns), period_ns)


def _steady(frames: Ints, times_ns: Ints, period_ns: float) -> SteadyRate | None:
    """Fit a line by least squares; ``None`` if it does not fit, or is as expected."""
    if len(frames) < LEAST_SEEN:
        return None
    since, since_ns = frames - frames[0], times_ns - times_ns[0]
    slope_ns, offset_ns = np.polyfit(since, since_ns, 1)
    uneven_ns = np.abs(since_ns - slope_ns * since - offset_ns).max()
    if uneven_ns > EVEN_NS or abs(period_ns / slope_ns - 1) * 1e6 < WRONG_PPM:
        return None
    return SteadyRate(int(frames[0]), int(times_ns[0]) + round(offset_ns), float(slope_ns))
