"""When a sample of sound was captured: a sound card's clock fitted against the host's.

A sound card counts samples by its own quartz, and the host learns of them late and
irregularly. A delay-locked loop (`mmedge.runtime.windows.sample_line`) turns such observations
into a steady line from sample number to host time. It follows only what agrees with it: what
does not is the sign of lost samples, of a reader that catches up, of a clock that was set, or
of a device that does not keep the rate that it promised.

No I/O, no clock is read here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mmedge.runtime.windows.cut import NS_PER_MS, NS_PER_S
from mmedge.runtime.windows.device_stamps import AHEAD_NS, DeviceStamps, Handover
from mmedge.runtime.windows.rate_watch import RateWatch
from mmedge.runtime.windows.sample_line import SampleLine

__all__ = ["AudioClock", "Handover", "Placed"]

LOST_NS = 3 * NS_PER_MS
"""A stamp that is later than expected by more says that samples are missing; two prove it.

PulseAudio's stamps scatter by 0.05 ms. They are 5 ms early while a reader catches up.
"""
EARLY_NS = 2 * NS_PER_S
"""Stamps too early by one and the same amount for so long are right, and the line is not."""
PIECE_NS = 4 * NS_PER_S
"""Without stamps, the earliest arrival within so long counts: the others were held up."""
AMONG_NS = NS_PER_S // 4
"""... and within so long, for the rate."""
LOST_UNSTAMPED_NS = 20 * NS_PER_MS
"""By so much even the earliest of them is later than expected if samples are missing."""
BANDWIDTH_HZ = 0.02
UNSTAMPED_BANDWIDTH_HZ = 0.005


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

    Frames that come evenly, but at another rate than promised, are no losses: once that is
    sure, a new run begins and keeps that rate. Until then they look like losses.

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
        self._line = SampleLine(rate_hz)
        self._stamps = DeviceStamps()
        self._rates = RateWatch()
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

    @property
    def rate_hz(self) -> float:
        """Frames per second that come, as far as it is known."""
        return NS_PER_S / self._line.period_ns

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
        self._keep_rate(block, stamp_ns)
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

    def _keep_rate(self, block: Handover, stamp_ns: int | None) -> None:
        """Go by the rate at which the frames come, once that is sure to be another."""
        period_ns = self._line.period_ns
        if stamp_ns is not None:
            found = self._rates.see(block.index, stamp_ns, period_ns)
        else:
            on_way_ns = 0 if math.isnan(self._on_way_ns) else round(self._on_way_ns)
            end, end_ns = block.index + block.frames, block.host_ns - on_way_ns
            found = self._rates.see(end, end_ns, period_ns, among_ns=AMONG_NS)
        if found is not None:
            self._begin_run(block, 0)
            self._line.go_by(found.period_ns)
            self._line.anchor(block.index, found.at(block.index))

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
            early = self._early = _Span(block.host_ns, late_ns, late_ns)
        early.least, early.most = min(early.least, late_ns), max(early.most, late_ns)
        ahead_ns = self._line.at(block.index + block.frames) - block.host_ns
        if block.host_ns - early.begin_ns > EARLY_NS or ahead_ns > AHEAD_NS:
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
