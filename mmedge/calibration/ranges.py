"""From the distribution of a value to the range that its scale is made from.

Every method is a function of a histogram: it chooses the magnitude at which numbers are
clipped, the same on both sides, and the range is what was seen within it. Exact zeros do not
count in `entropy` and `mse`: every scale represents them exactly, and after a Relu they would
outweigh everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mmedge.calibration.histogram import BINS, Histogram
from mmedge.calibration.lowering import Range
from mmedge.errors import ArtefactError

__all__ = ["METHODS", "PERCENT", "Method", "find_range"]

Method = Literal["min-max", "percentile", "entropy", "mse"]
METHODS: tuple[Method, ...] = get_args(Method)
PERCENT = 99.99
"""Share of the numbers that `percentile` does not clip."""
MOST_CLIPPED = 0.01
"""Share of the numbers that are not zero which `entropy` clips at most."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_AT_ONCE = 128  # candidates at a time: temporaries of 1 MB


def find_range(histogram: Histogram, method: Method, *, symmetric: bool, levels: int) -> Range:
    """Choose the range of a value.

    Args:
        histogram: what was seen of it.
        method: how; each is cited at its function.
        symmetric: whether the scale will be: as many levels below zero as above.
        levels: of the quantised value, in all: 255 for symmetric int8, 256 for uint8.

    Returns:
        A range that zero lies in; with ``min-max`` the exact extremes.

    Raises:
        ArtefactError: no finite number was seen.
    """
    if histogram.minimum > histogram.maximum:
        raise ArtefactError(
            f"there is no range without finite numbers: {histogram.nan} NaN, {histogram.infinite} "
            f"infinite and {histogram.masks} masks were seen. Does the model work on these clips?"
        )
    seen = histogram.extremes
    if method == "min-max" or not seen.largest:
        return seen
    limit = _CHOOSERS[method](histogram, symmetric, levels) * histogram.width
    return Range(max(seen.low, -limit), min(seen.high, limit), seen.least)


def _percentile(histogram: Histogram, symmetric: bool, levels: int) -> float:
    """Clip the largest few.

    Wu et al. 2020, "Integer quantization for deep learning inference";
    McKinstry et al. 2019, "Discovering low-precision networks close to full-precision networks".
    """
    counts = histogram.magnitudes().cumsum()
    return float(np.searchsorted(counts, counts[-1] * (PERCENT / 100)) + 1)


def _entropy(histogram: Histogram, symmetric: bool, levels: int) -> float:
    """Lose the least information: the least Kullback-Leibler divergence.

    As TensorRT's calibrator did: Migacz 2017, "8-bit inference with TensorRT" (GTC), of which
    NVIDIA's pytorch-quantization is a readable form. With a symmetric scale it looks at
    magnitudes, else at both sides. Where several are equal, the widest is taken. What clips
    more than `MOST_CLIPPED` is not looked at: once all lies in one bin, nothing diverges.
    """
    counts = _magnitudes(histogram) if symmetric else _both_sides(histogram)
    steps = (levels + 1) // 2 if symmetric else levels
    zero = 0 if symmetric else BINS
    first, last = _occupied(counts)
    limits = np.arange(1, BINS + 1)
    first, last = min(first, zero), max(last, zero)
    low, high = np.maximum(zero - limits, first), np.minimum(zero + limits, last)
    running = np.concatenate([[0.0], np.cumsum(counts)])
    wanted = running[high] - running[low] >= (1 - MOST_CLIPPED) * running[-1]
    wanted &= (high - low >= steps) & (limits <= max(zero - first, last - zero))
    if not wanted.any():
        return float(BINS)
    parts = np.array_split(np.flatnonzero(wanted), 1 + int(wanted.sum()) // _AT_ONCE)
    found = np.concatenate([_divergences(counts, low[i], high[i], steps) for i in parts])
    widest = len(found) - 1 - int(np.argmin(found[::-1]))
    return float(limits[wanted][widest])


def _mse(histogram: Histogram, symmetric: bool, levels: int) -> float:
    """Round with the least mean squared error.

    Choukroun et al. 2019, "Low-bit quantization of neural networks for efficient inference";
    Nagel et al. 2021, "A white paper on neural network quantization", section 3.1.
    """
    counts = _magnitudes(histogram) if symmetric else _both_sides(histogram)
    zero = 0 if symmetric else BINS
    low, high = (end / histogram.width for end in (histogram.minimum, histogram.maximum))
    largest = max(-low, high)
    if symmetric:
        low, high = 0.0, largest
    steps = (levels - 1) // 2 if symmetric else levels - 1

    def errors(limits: Floats) -> Floats:
        ends = np.maximum(-limits, min(low, 0)), np.minimum(limits, max(high, 0))
        return _squared_errors(counts, zero, *ends, steps)

    limits = np.geomspace(largest / 1024, largest, 65)
    best = int(np.argmin(errors(limits)))
    around = float(limits[max(best - 1, 0)]), float(limits[min(best + 1, 64)])
    limits = np.append(np.linspace(*around, 33), limits[best])
    return float(limits[np.argmin(errors(limits))])


_CHOOSERS: Mapping[str, Callable[[Histogram, bool, int], float]] = {
    "percentile": _percentile,
    "entropy": _entropy,
    "mse": _mse,
}


def _magnitudes(histogram: Histogram) -> Floats:
    """Counts of magnitudes without exact zeros, ``[BINS]``."""
    counts = histogram.magnitudes().astype(np.float64)
    counts[0] -= histogram.zeros
    return counts


def _both_sides(histogram: Histogram) -> Floats:
    """Counts without exact zeros in bins of one width, ``[2 * BINS]``; zero is before ``BINS``.

    What the middle bin holds lies on both sides of zero, half and half, if numbers do.
    """
    counts = histogram.counts.astype(np.float64)
    middle = counts[BINS - 1] - histogram.zeros
    share = 0.0 if histogram.minimum >= 0 else 1.0 if histogram.maximum <= 0 else 0.5
    sides = [middle * share, middle * (1 - share)]
    return np.concatenate([counts[: BINS - 1], sides, counts[BINS:]])


def _occupied(counts: Floats) -> tuple[int, int]:
    """First bin that holds something, and one past the last."""
    filled = np.flatnonzero(counts)
    return int(filled[0]), int(filled[-1]) + 1


def _divergences(counts: Floats, low: Ints, high: Ints, steps: int) -> Floats:
    """Kullback-Leibler divergences of a distribution that is clipped and rounded, ``[K]``.

    Everything is clipped to bins ``[low, high)`` and counts there in the outermost bin; the
    rounded one spreads each step's count evenly over its bins that are not empty. Sums over
    bins are differences of running sums, so a candidate costs its steps and not its bins.

    Args:
        counts: ``[N]``.
        low: first bin of each candidate, ``[K]``.
        high: one past the last, ``[K]``.
        steps: what each candidate is rounded to.
    """
    running, filled, logs = (
        np.concatenate([[0.0], np.cumsum(each)]) for each in (counts, counts > 0, _x_log_x(counts))
    )
    size = (high - low)[:, None]
    edges = low[:, None] - (-np.arange(steps + 1) * size) // steps  # rounded up
    inside = np.diff(running[edges])
    heights = np.log(
        inside / np.maximum(np.diff(filled[edges]), 1), where=inside > 0, out=inside * 0
    )
    below, above = running[low], running[-1] - running[high]
    first, last = counts[low], counts[high - 1]
    reference = logs[high] - logs[low] - _x_log_x(first) - _x_log_x(last)
    reference += _x_log_x(first + below) + _x_log_x(last + above)
    cross = (inside * heights).sum(1) + below * heights[:, 0] + above * heights[:, -1]
    total, kept = running[-1], running[high] - running[low]
    lost = ((below > 0) & (first == 0)) | ((above > 0) & (last == 0))  # no logarithm of nothing
    kept = np.where(lost, 1.0, kept)
    return np.where(lost, np.inf, (reference - cross) / total - np.log(total) + np.log(kept))


def _x_log_x(values: Floats) -> Floats:
    return values * np.log(values, where=values > 0, out=np.zeros_like(values))


def _cube(values: Floats) -> Floats:
    return values * values * values


def _squared_errors(counts: Floats, zero: int, low: Floats, high: Floats, steps: int) -> Floats:
    """Squared error of rounding to a grid through zero, in squared bins, ``[K]``.

    Within a bin numbers lie evenly; the error is integrated exactly. Up to ``y`` steps from
    zero, ``round(y) = n``, rounding costs ``n / 12 + (y - n)**3 / 3`` cubic steps.

    Args:
        counts: ``[N]``, in bins of one width.
        zero: the bin that begins at zero.
        low: where each candidate clips, in bins from zero, ``[K]``.
        high: the same above zero.
        steps: between both.
    """
    first, last = _occupied(counts)
    edges = np.arange(first - zero, last - zero + 1, dtype=np.float64)
    weights = counts[first:last]
    found = []
    for bottom, top in zip(low, high, strict=True):
        step = (top - bottom) / steps
        clipped = np.clip(edges, bottom, top)
        inner = clipped / step
        nearest = np.rint(inner)
        integral = step**3 * (nearest / 12 + _cube(inner - nearest) / 3)
        integral += _cube(edges - clipped) / 3
        found.append(float(np.diff(integral) @ weights))
    return np.array(found)
