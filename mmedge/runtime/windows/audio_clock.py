"""When a sample of sound was captured: a sound card's clock fitted against the host's.

A sound card counts samples by its own quartz, and the host learns of them late and
irregularly. A delay-locked loop of the second order (F. Adriaensen, "Using a DLL to filter
time", Linux Audio Conference 2005) turns such observations into a steady line from sample
number to host time. Ours starts with the gains of a least-squares fit to all that has been
seen, so that it locks at once, and follows only what agrees with it: what does not is the
sign of lost samples, of a reader that catches up, or of a clock that was set.

No I/O, no clock is read here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mmedge.runtime.windows.cut import NS_PER_MS, NS_PER_S
from mmedge.runtime.windows.device_stamps import DeviceStamps, Handover

__all__ = ["AudioClock", "Handover", "Placed"]

LOST_NS = 3 * NS_PER_MS
"""A stamp that is later than expected by more says that samples are missing; two prove it.

PulseAudio's stamps scatter by 0.05 ms. They are 5 ms early while a reader catches up.
"""
EARLY_NS = 2 * NS_PER_S
"""Stamps too early by one and the same amount for so long are right, and the line is not."""
PIECE_NS = 4 * NS_PER_S
"""Without stamps, the earliest arrival within so long counts: the others were held up."""
LOST_UNSTAMPED_NS = 20 * NS_PER_MS
"""By so much even the earliest of them is later than expected if samples are missing."""
MAX_PPM = 500.0
"""No quartz is worse; found by the fit, it is noise."""
BANDWIDTH_HZ = 0.02
UNSTAMPED_BANDWIDTH_HZ = 0.005
KNOWN_AFTER_NS = 10 * NS_PER_S
"""A fit to less says little about the drift."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a block belongs: these fields of `mmedge.runtime.sources.Block`."""

    time_ns: int
    run: int
    index: int
    drift_ppm: float


class AudioClock:
    """Places the blocks of one device, from its opening on, in time.

    Stamps of the device are believed where they make sense by one of the host's clocks.
    Where it gives none, the earliest arrivals count; then the unknown time from capture to
    arrival stays in the result, and a loss is noticed only after some `PIECE_NS`.

    Args:
        rate_hz: frames per second that the device promises.
        run: number of the first run.

    Attributes:
        run: number of the current run.
        lost_ns: time without samples so far, between the runs.
    """

    def __init__(self, rate_hz: int, run: int = 0) -> None:
        self.run = run
        self.lost_ns = 0
        self._line = _Line(rate_hz)
        self._stamps = DeviceStamps()
        self._run_index = 0  # where the run begins, among all the device's frames
        self._next_index = -1  # -1 before the first block
        self._doubted: tuple[Handover, int] | None = None
        self._early: _Span | None = None
        self._piece: _Piece | None = None
        self._on_way_ns = 0.0  # from a block's end to its arrival, at best; NaN: not known

    @property
    def drift_ppm(self) -> float:
        """How much faster than promised the device's clock runs; NaN while not known."""
        return self._line.drift_ppm

    @property
    def rebased(self) -> int:
        """How often the clock of the device's stamps was set or replaced."""
        return self._stamps.rebased

    def place(self, block: Handover) -> list[Placed]:
        """Place a block; one whose stamp is doubtful waits for the next to decide.

        Args:
            block: in the order in which the device gave them.

        Returns:
            The places of what waited and of this one, oldest first: none, one or two.
        """
        stamp_ns = self._observe(block)
        placed = self._decide(block, stamp_ns)
        if block.index != self._next_index:  # dropped on the way to here, and counted
            self._begin_run(block, self._line.at(block.index) - self._line.at(self._next_index))
        if stamp_ns is None:
            self._follow_arrival(block)
        else:
            late_ns = stamp_ns - self._line.at(block.index)
            if late_ns > LOST_NS:
                self._doubted = (block, stamp_ns)
                return placed
            self._follow_stamp(block, late_ns)
        placed.append(self._put(block))
        return placed

    def _observe(self, block: Handover) -> int | None:
        """Give the believed capture time, if there is one; the first block sets the line."""
        rate_hz = self._line.rate_hz
        if self._next_index >= 0:
            return self._stamps.captured_ns(block, rate_hz, self._line.at(block.index))
        stamp_ns = self._stamps.captured_ns(block, rate_hz, None)
        arrival_ns = block.host_ns - block.frames * NS_PER_S // rate_hz
        self._line.anchor(block.index, arrival_ns if stamp_ns is None else stamp_ns)
        self._run_index = self._next_index = block.index
        return stamp_ns

    def _decide(self, block: Handover, stamp_ns: int | None) -> list[Placed]:
        """Place the block that waits: samples are missing before it if this one says so too."""
        if self._doubted is None:
            return []
        (first, seen_ns), self._doubted = self._doubted, None
        if stamp_ns is not None and stamp_ns - self._line.at(block.index) > LOST_NS:
            self._begin_run(first, seen_ns - self._line.at(first.index))
            self._line.anchor(first.index, seen_ns)
        return [self._put(first)]

    def _begin_run(self, block: Handover, lost_ns: int) -> None:
        self.run += 1
        self.lost_ns += lost_ns
        self._run_index = self._next_index = block.index
        self._early = self._piece = None

    def _put(self, block: Handover) -> Placed:
        place = Placed(
            self._line.at(block.index), self.run, block.index - self._run_index, self.drift_ppm
        )
        self._line.advance(block.frames)
        self._next_index = block.index + block.frames
        return place

    def _follow_stamp(self, block: Handover, late_ns: int) -> None:
        self._piece, self._on_way_ns = None, math.nan
        if late_ns >= -LOST_NS:
            self._early = None
            self._line.follow(late_ns, late_ns, block.frames, BANDWIDTH_HZ)
            return
        early = self._early
        if early is None or max(early.most, late_ns) - min(early.least, late_ns) > LOST_NS:
            self._early = _Span(block.host_ns, late_ns, late_ns)
            return
        early.least, early.most = min(early.least, late_ns), max(early.most, late_ns)
        if block.host_ns - early.begin_ns > EARLY_NS:
            self._line.shift(late_ns)
            self._early = None

    def _follow_arrival(self, block: Handover) -> None:
        """Follow the earliest arrivals: nothing arrives before it was captured."""
        line, piece = self._line, self._piece
        if piece is None:
            piece = self._piece = _Piece(block.host_ns)
        late_ns = block.host_ns - line.at(block.index + block.frames)
        if not math.isnan(self._on_way_ns):
            late_ns -= round(self._on_way_ns)
            if late_ns < 0:
                line.shift(late_ns)
                piece.shifted_ns += late_ns
                piece.least_ns = late_ns = 0
        piece.least_ns = min(piece.least_ns, late_ns)
        piece.frames += block.frames
        if block.host_ns - piece.begin_ns < PIECE_NS:
            return
        self._piece = None
        if math.isnan(self._on_way_ns):  # stamps have ended: what follows goes on from them
            self._on_way_ns = piece.least_ns
        elif piece.least_ns > LOST_UNSTAMPED_NS:
            self._begin_run(block, round(piece.least_ns))
            line.shift(round(piece.least_ns))
        else:
            late = piece.least_ns
            line.follow(late, late + piece.shifted_ns, piece.frames, UNSTAMPED_BANDWIDTH_HZ)


@dataclass(slots=True)
class _Span:
    """Stamps that were too early, by how much at least and at most, and since when."""

    begin_ns: int
    least: int
    most: int


@dataclass(slots=True)
class _Piece:
    """Arrivals without stamps: since when, the least late, and how far the line was moved."""

    begin_ns: int
    least_ns: float = math.inf
    shifted_ns: int = 0
    frames: int = 0


class _Line:
    """Frame number -> time: the delay-locked loop itself."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._nominal_ns = self._period_ns = NS_PER_S / rate_hz
        self._index = 0
        self._origin_ns = 0
        self._since_ns = 0.0  # of frame `_index`, after the origin: exact for a hundred days
        self._phases = 0  # observations since it was anchored
        self._rates = 0  # observations since the beginning
        self._covered_ns = 0.0

    @property
    def drift_ppm(self) -> float:
        if self._covered_ns < KNOWN_AFTER_NS:
            return math.nan
        return (self._nominal_ns / self._period_ns - 1) * 1e6

    def at(self, index: int) -> int:
        since_ns = self._since_ns + (index - self._index) * self._period_ns
        return self._origin_ns + round(since_ns)

    def anchor(self, index: int, time_ns: int) -> None:
        """Begin anew at one point; what is known of the rate stays."""
        self._index, self._origin_ns, self._since_ns = index, time_ns, 0.0
        self._phases = 0

    def shift(self, by_ns: int) -> None:
        self._since_ns += by_ns

    def advance(self, frames: int) -> None:
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
