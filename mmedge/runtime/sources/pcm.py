"""Decoded sound as blocks: int16, and its place within unbroken runs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["SoundRuns", "as_int16"]

_NS_PER_S = 1_000_000_000
# Containers round time stamps to a millisecond.
_ROUNDING_NS = 1_000_000
# More than this between one block's end and the next block's begin is a loss.
_HOLE_NS = 40_000_000


class SoundRuns:
    """Counts blocks into runs: samples that follow each other without a gap."""

    def __init__(self) -> None:
        self._run, self._begin_ns, self._count = -1, 0, 0
        self.begin()

    def begin(self) -> None:
        """Let the next block begin a new run."""
        self._rate_hz = 0

    def place(self, stamp_ns: int, length: int, rate_hz: int) -> tuple[int, int, int]:
        """Place the next block.

        Within a run, time is counted in samples as far as the stamps agree to a
        millisecond; where they move away (the sender's clocks differ), it follows them.

        Args:
            stamp_ns: when the block began, as its time stamp says.
            length: samples in it.
            rate_hz: samples per second.

        Returns:
            When it began, its run, and the index of its first sample within the run.
        """
        error_ns = stamp_ns - self._end_ns if self._rate_hz == rate_hz else 2 * _HOLE_NS
        if abs(error_ns) > _HOLE_NS:
            self._run, self._rate_hz = self._run + 1, rate_hz
            self._begin_ns, self._count = stamp_ns, 0
        elif abs(error_ns) > _ROUNDING_NS:
            self._begin_ns += error_ns // 8
        begin_ns = self._begin_ns + self._count * _NS_PER_S // rate_hz
        index = self._count
        self._count += length
        return begin_ns, self._run, index

    @property
    def _end_ns(self) -> int:
        return self._begin_ns + self._count * _NS_PER_S // self._rate_hz


def as_int16(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    """Turn float32 ``[C, N]`` in [-1, 1) into int16 ``[N, C]``; what is louder is clipped."""
    scaled = np.rint(samples.T * np.float32(32_768))
    return np.ascontiguousarray(scaled.clip(-32_768, 32_767), dtype=np.int16)
