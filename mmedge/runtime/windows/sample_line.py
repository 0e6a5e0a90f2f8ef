"""The line from frame numbers to host time: a delay-locked loop of the second order.

F. Adriaensen, "Using a DLL to filter time", Linux Audio Conference 2005. It starts with the
gains of a least-squares fit to all that has been seen, so that it locks at once.

No I/O, no clock is read here.
"""

from __future__ import annotations

import math

from mmedge.runtime.windows.cut import NS_PER_S

__all__ = ["SampleLine"]

MAX_PPM = 500.0
"""No quartz is worse; found by the fit, it is noise."""
KNOWN_AFTER_NS = 10 * NS_PER_S
"""A fit to less says little about the drift."""


class SampleLine:
    """Frame number -> time: the delay-locked loop itself.

    Args:
        rate_hz: frames per second that are promised.
    """

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._promised_ns = self._nominal_ns = self._period_ns = NS_PER_S / rate_hz
        self._index = 0
        self._origin_ns = 0
        self._since_ns = 0.0  # of frame `_index`, after the origin: exact for a hundred days
        self._phases = 0  # observations since it was anchored
        self._rates = 0  # observations since the beginning
        self._covered_ns = 0.0

    @property
    def drift_ppm(self) -> float:
        """How much faster than promised the frames come; NaN while that is not known."""
        if self._covered_ns < KNOWN_AFTER_NS:
            return math.nan
        return (self._promised_ns / self._period_ns - 1) * 1e6

    @property
    def period_ns(self) -> float:
        """From one frame to the next, as the fit has it."""
        return self._period_ns

    def at(self, index: int) -> int:
        """Give the time of a frame."""
        since_ns = self._since_ns + (index - self._index) * self._period_ns
        return self._origin_ns + round(since_ns)

    def anchor(self, index: int, time_ns: int) -> None:
        """Begin anew at one point; what is known of the rate stays."""
        self._index, self._origin_ns, self._since_ns = index, time_ns, 0.0
        self._phases = 0

    def go_by(self, period_ns: float) -> None:
        """Take another rate than the promised one for the right one, and fit around it."""
        self._nominal_ns = self._period_ns = period_ns
        self._rates = 0

    def shift(self, by_ns: int) -> None:
        """Move it, and leave its rate alone."""
        self._since_ns += by_ns

    def advance(self, frames: int) -> None:
        """Go on to the frame that an observation comes next of."""
        self._index += frames
        self._since_ns += frames * self._period_ns

    def follow(self, late_ns: float, drifted_ns: float, frames: int, bandwidth_hz: float) -> None:
        """Correct the time by part of ``late_ns`` and the rate by part of ``drifted_ns``.

        The gains are those of a growing least-squares fit, and never less than the loop's
        own (Adriaensen, equations for b and c).
        """
        covered_ns = frames * self._nominal_ns
        omega = 2 * math.pi * bandwidth_hz * covered_ns / NS_PER_S
        k, j = self._phases, self._rates
        self._phases, self._rates = k + 1, j + 1
        gain = max(math.sqrt(2) * omega, (4 * k + 2) / ((k + 1) * (k + 2)))
        self._since_ns += min(gain, 1.0) * late_ns
        if j:
            gain = max(omega * omega, 6 / ((j + 1) * (j + 2)))
            period_ns = self._period_ns + gain * drifted_ns / frames
            most_ns = self._nominal_ns * MAX_PPM / 1e6
            self._period_ns = min(
                max(period_ns, self._nominal_ns - most_ns), self._nominal_ns + most_ns
            )
        self._covered_ns += covered_ns
