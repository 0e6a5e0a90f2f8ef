"""One unbroken run of sound, and the times at which some of its samples were captured."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from mmedge.runtime.preprocess.sound import Conformer
from mmedge.runtime.samples import Block
from mmedge.runtime.windows.cut import NS_PER_S, place_sound

__all__ = ["Run"]

Samples = npt.NDArray[np.float32]


class Run:
    """Unbroken sound: samples at the encoder's rate, and times of some of the device's."""

    def __init__(self, block: Block, conform: Conformer, rate_hz: int) -> None:
        self.number = block.run
        self.conform = conform
        self.device_stop = block.index
        self._device_hz = block.rate_hz
        self._rate_hz = rate_hz
        self._begin = block.index
        self._pieces: deque[tuple[int, Samples]] = deque()
        self._anchors: deque[tuple[int, int]] = deque()
        self._origin = (block.index, block.time_ns)
        self.first = self.stop = 0

    def add(self, block: Block, samples: Samples) -> None:
        """Take a block of the device, and what has become of it (some is held back)."""
        anchors = ((block.index, block.time_ns),) if block.anchors is None else block.anchors
        if not anchors and not self._anchors:
            anchors = ((block.index, block.time_ns),)
        self._anchors.extend(anchors)
        self.device_stop += len(block.samples)
        if samples.shape[1]:
            self._pieces.append((self.stop, samples))
            self.stop += samples.shape[1]

    def forget(self, before: int) -> None:
        """Forget samples before that one, and the times that only they had."""
        while self._pieces and self._pieces[0][0] + self._pieces[0][1].shape[1] <= before:
            index, samples = self._pieces.popleft()
            self.first = index + samples.shape[1]
        device_first = self._to_device(self.first)
        while len(self._anchors) > 1 and self._anchors[1][0] <= device_first:
            self._anchors.popleft()

    def place(self, window: Samples, first: int) -> int:
        """Copy what belongs there; ``first`` is the sample at the window's beginning."""
        return sum(place_sound(window, samples, index - first) for index, samples in self._pieces)

    @property
    def reached_ns(self) -> int:
        """Capture time of the last sample, by the last reading of the clock."""
        index, time_ns = self._anchors[-1]
        return time_ns + _divide((self._to_device(self.stop) - index) * NS_PER_S, self._device_hz)

    def index_at(self, end_ns: int) -> int | None:
        """Find the sample captured at ``end_ns``; ``None`` if it has not come.

        The times between two readings of the clock are those of the promised rate. The walk
        goes from the oldest reading on, so that what has come later changes no answer.
        """
        limits = [*(index for index, _ in self._anchors), self.device_stop][1:]
        for position, (index, time_ns) in enumerate(self._anchors):
            device = index + _divide((end_ns - time_ns) * self._device_hz, NS_PER_S)
            if position:  # a clock that leaps ahead passes over what lies between
                device = max(device, index)
            if device <= limits[position]:
                stop = self._from_device(device)
                return stop if stop <= self.stop else None
        return None

    def extrapolate(self, end_ns: int) -> int:
        """Give the sample that would have been captured at ``end_ns``, had the run gone on."""
        index, time_ns = self._anchors[-1]
        return self._from_device(index + _divide((end_ns - time_ns) * self._device_hz, NS_PER_S))

    def time_ns(self, stop: int) -> int:
        """Give the capture time of a sample.

        By the last reading of the clock before it: one of that very sample comes with the
        samples that follow, and may not have come.
        """
        device = self._to_device(stop)
        index, time_ns = self._anchors[0]
        for anchor in self._anchors:
            if anchor[0] >= device:
                break
            index, time_ns = anchor
        return time_ns + _divide((device - index) * NS_PER_S, self._device_hz)

    @property
    def begun_ns(self) -> int:
        """Capture time of its first sample."""
        return self._origin[1]

    @property
    def kept_ns(self) -> int:
        """Capture time of the oldest sample that is kept."""
        return self.time_ns(self.first)

    def newest_end_ns(self, hop_ns: int) -> int:
        """Give the newest end on the grid whose samples have all come."""
        end_ns = self.time_ns(self.stop) // hop_ns * hop_ns
        while self.index_at(end_ns) is None:
            end_ns -= hop_ns
        return end_ns

    def rate_ppm(self, end_ns: int, stop: int) -> float:
        """Tell how much faster than promised samples have come since the run began."""
        if end_ns - self._origin[1] < 10 * NS_PER_S:
            return float("nan")
        came = (self._to_device(stop) - self._origin[0]) * NS_PER_S / self._device_hz
        return (came / (end_ns - self._origin[1]) - 1) * 1e6

    def _to_device(self, index: int) -> int:
        return self._begin + _divide(index * self._device_hz, self._rate_hz)

    def _from_device(self, index: int) -> int:
        return _divide((index - self._begin) * self._rate_hz, self._device_hz)


def _divide(a: int, b: int) -> int:
    """Divide, rounded to the nearest integer, in exact arithmetic."""
    return (2 * a + b) // (2 * b)
