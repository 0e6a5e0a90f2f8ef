"""How the numbers of a value are distributed, from a stream, in memory that does not grow.

Bins are as wide as a power of two, ``2**exponent``, and aligned to zero: a number ``x`` is
counted in bin ``trunc(x / width)``. Where a number does not fit, the width doubles and bins
merge in pairs; ``trunc(trunc(x / w) / 2) = trunc(x / 2w)``, so the merged counts are those
that the wider bins would have counted from the start. What was seen decides the counts, not
in which order, in which batches or in how many parts.

Dividing a float32 by a power of two is exact; where it underflows, the number belongs in the
middle bin anyway. That is why bins are cut towards zero: the middle one, ``(-width, width)``,
takes what is tiny on both sides, and is twice as wide as the others.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge.calibration.lowering import Range

__all__ = ["BINS", "HUGE", "Histogram"]

BINS = 4096
"""Bins on each side of zero; the largest number seen lies in the upper half of them."""
HUGE = 2.0**64
"""From here on a number is a mask (float32's minimum, as torch writes it, and what addition
and scaling make of it), not data: its square is infinite in float32."""
_LEAST_EXPONENT = -126  # 2**126 is the largest power by which a float32 is multiplied exactly
_CHUNK = 32_768  # numbers at a time: temporaries stay in the cache


class Histogram:
    """Counts of the finite numbers of a value, their exact extremes, and what was left out.

    Args:
        mask_below: numbers up to this one are masks, and left out; by default only those
            beyond `HUGE`, on both sides.

    Attributes:
        minimum: the least number counted, exactly; ``inf`` while there is none.
        maximum: the largest number counted, exactly; ``-inf`` while there is none.
        least: the smallest magnitude above 0, exactly; 0 while there is none.
        zeros: how many of the numbers counted are exactly zero.
        nan: numbers left out because they are none.
        infinite: numbers left out because they are infinite.
        masks: finite numbers left out because they are masks.
        exponent: bins are ``2**exponent`` wide.
    """

    __slots__ = (
        "_counts",
        "exponent",
        "infinite",
        "least",
        "mask_below",
        "masks",
        "maximum",
        "minimum",
        "nan",
        "zeros",
    )

    def __init__(self, *, mask_below: float = -HUGE) -> None:
        self.mask_below = max(mask_below, -HUGE)
        self.minimum, self.maximum = math.inf, -math.inf
        self.least = 0.0
        self.zeros = self.nan = self.infinite = self.masks = 0
        self.exponent = _LEAST_EXPONENT
        self._counts: NDArray[np.int64] = np.zeros(2 * BINS - 1, np.int64)

    @property
    def counts(self) -> NDArray[np.int64]:
        """A copy of the counts, ``[2 * BINS - 1]``; bin ``i`` stands at ``i + BINS - 1``."""
        return np.array(self._counts)

    @property
    def extremes(self) -> Range:
        """Where all that was counted lies, exactly, with zero; 0 to 0 while there is nothing."""
        return Range(min(self.minimum, 0.0), max(self.maximum, 0.0), self.least)

    @property
    def width(self) -> float:
        """Width of a bin; the middle one is twice as wide."""
        return math.ldexp(1.0, self.exponent)

    @property
    def total(self) -> int:
        """How many numbers were counted."""
        return int(self._counts.sum())

    @property
    def left_out(self) -> int:
        """How many numbers were left out."""
        return self.nan + self.infinite + self.masks

    def magnitudes(self) -> NDArray[np.int64]:
        """Counts of the absolute values, ``[BINS]``: bin ``i`` is ``[i, i + 1) * width``."""
        folded = np.array(self._counts[BINS - 1 :])
        folded[1:] += self._counts[BINS - 2 :: -1]
        return folded

    def bars(self, most: int) -> tuple[list[float], list[int]]:
        """Give at most so many bars for a picture: their edges, one more, and their counts."""
        filled = np.flatnonzero(self._counts)
        if not len(filled):
            return [], []
        first, last = int(filled[0]), int(filled[-1])
        starts = np.arange(first, last + 1, -(-(last + 1 - first) // most))
        counts = np.add.reduceat(self._counts[: last + 1], starts)
        return [self._edge(each) for each in (*starts.tolist(), last + 1)], counts.tolist()

    def beyond(self, limits: Range) -> int:
        """Count the numbers outside of a range, to the accuracy of a bin."""
        count = 0
        if self.maximum > limits.high:
            first = max(1, math.ceil(limits.high / self.width))
            count += int(self._counts[first + BINS - 1 :].sum())
        if self.minimum < limits.low:
            last = min(-1, math.floor(limits.low / self.width))
            count += int(self._counts[: last + BINS].sum())
        return count

    def _edge(self, index: int) -> float:
        """Where the bin begins that stands at an index, from the left."""
        number = index - BINS + 1
        return (number if number > 0 else number - 1) * self.width

    def add(self, array: NDArray[Any]) -> None:
        """Count an array of any shape; numbers of other types count as float32."""
        flat = array.reshape(-1)
        for begin in range(0, flat.size, _CHUNK):
            chunk = flat[begin : begin + _CHUNK].astype(np.float32, copy=False)
            low, high = float(chunk.min()), float(chunk.max())
            if not (self.mask_below < low and high < HUGE):  # also where there is a NaN
                chunk = self._data(chunk)
                if not chunk.size:
                    continue
                low, high = float(chunk.min()), float(chunk.max())
            self._count(chunk, low + 0.0, high + 0.0)  # which zero came first is no matter

    def merge(self, other: Histogram) -> None:
        """Count everything that another histogram has counted.

        Raises:
            ValueError: the other one takes other numbers for masks.
        """
        if other.mask_below != self.mask_below:
            raise ValueError(
                f"histograms differ in mask_below: {self.mask_below} and {other.mask_below}"
            )
        self._widen(other.exponent)
        self._counts += _merged(other._counts, self.exponent - other.exponent)
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.least = _least(self.least, other.least)
        for name in ("zeros", "nan", "infinite", "masks"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def _data(self, chunk: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give the numbers that are data, and count the others."""
        finite = np.isfinite(chunk)
        data = chunk[finite & (chunk > self.mask_below) & (chunk < HUGE)]
        nan = int(np.count_nonzero(np.isnan(chunk)))
        self.nan += nan
        self.infinite += chunk.size - int(np.count_nonzero(finite)) - nan
        self.masks += int(np.count_nonzero(finite)) - data.size
        return data

    def _count(self, chunk: NDArray[np.float32], low: float, high: float) -> None:
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
        self._widen(_exponent(max(-low, high)))
        first, last = (int(math.ldexp(each, -self.exponent)) for each in (low, high))
        index = (chunk * np.float32(math.ldexp(1.0, -self.exponent))).astype(np.intp)
        index -= first
        here = first + BINS - 1
        self._counts[here : here + last - first + 1] += np.bincount(index)
        self.zeros += int(np.count_nonzero(chunk == 0))
        self.least = _least(self.least, _smallest(chunk))

    def _widen(self, exponent: int) -> None:
        if exponent > self.exponent:
            self._counts = _merged(self._counts, exponent - self.exponent)
            self.exponent = exponent


def _exponent(largest: float) -> int:
    """Give the least exponent whose bins reach a magnitude."""
    # frexp: largest < 2**power, so that trunc(largest / 2**(power - 12)) < 4096
    power = math.frexp(largest)[1] if largest else _LEAST_EXPONENT
    return max(power - BINS.bit_length() + 1, _LEAST_EXPONENT)


def _least(one: float, other: float) -> float:
    return min(one, other) if one and other else one or other


def _smallest(chunk: NDArray[np.float32]) -> float:
    """Give the smallest magnitude above 0, or 0: as integers, floats are ordered alike."""
    bits = np.ascontiguousarray(chunk).view(np.uint32) & np.uint32(0x7FFF_FFFF)
    bits -= np.uint32(1)  # zeros become the largest
    smallest = bits.min()
    if smallest == 0xFFFF_FFFF:
        return 0.0
    return float((smallest + np.uint32(1)).view(np.float32))


def _merged(counts: NDArray[np.int64], doublings: int) -> NDArray[np.int64]:
    """Give the counts in bins that are ``2**doublings`` times as wide."""
    if not doublings:
        return counts
    factor = 2 ** min(doublings, BINS.bit_length() - 1)
    result = np.zeros_like(counts)
    kept = BINS // factor  # bins on each side, the middle one on both
    result[BINS - 1 : BINS - 1 + kept] = counts[BINS - 1 :].reshape(kept, factor).sum(1)
    negative = counts[BINS - 1 :: -1].copy()
    negative[0] = 0  # the middle bin was counted above
    result[BINS - kept : BINS] += negative.reshape(kept, factor).sum(1)[::-1]
    return result
