"""Ranges out of histograms, beside the same methods written down slowly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from mmedge.calibration.histogram import Histogram
from mmedge.calibration.lowering import Range
from mmedge.calibration.ranges import METHODS, Method, find_range
from mmedge.errors import ArtefactError

Floats = NDArray[np.float32]
draw = np.random.default_rng(0)
SIZE = 40_000
DRAWN: dict[str, Floats] = {
    name: values.astype(np.float32)
    for name, values in {
        "normal": draw.normal(0.3, 1, SIZE),
        "relu": np.maximum(draw.normal(0, 20, SIZE), 0),
        "laplace": draw.laplace(0, 1e-3, SIZE),
        "long tails": draw.standard_t(3, SIZE),
        "lopsided": np.where(draw.random(SIZE) < 0.5, draw.uniform(-0.2, 0, SIZE), 1)
        * draw.exponential(3, SIZE),
        "negative": -draw.gamma(2, 5, SIZE),
        "far from zero": draw.uniform(50, 70, SIZE),
        "an outlier": np.append(draw.normal(size=SIZE), 40),
    }.items()
}
SCALES = pytest.mark.parametrize(("symmetric", "levels"), [(True, 255), (False, 256)])
EACH = pytest.mark.parametrize("name", DRAWN)


def histogram_of(values: Floats) -> Histogram:
    histogram = Histogram()
    histogram.add(values)
    return histogram


def rounding_error(values: Floats, seen: Range, symmetric: bool) -> float:
    """Mean squared error of real rounding to int8 or uint8."""
    exact = values.astype(np.float64)
    if symmetric:
        scale, zero, lowest, highest = seen.largest / 127, 0, -127, 127
    else:
        scale, lowest, highest = (seen.high - seen.low) / 255, 0, 255
        zero = round(-seen.low / scale)
    rounded = np.clip(np.rint(exact / scale) + zero, lowest, highest) - zero
    return float(np.mean((exact - rounded * scale) ** 2))


def clipped(values: Floats, limit: float) -> Range:
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    return Range(max(low, -limit), min(high, limit))


@EACH
@SCALES
def test_min_max_is_exact(name: str, symmetric: bool, levels: int) -> None:
    values = DRAWN[name]
    seen = find_range(histogram_of(values), "min-max", symmetric=symmetric, levels=levels)
    low, high = min(values.min(), np.float32(0)), max(values.max(), np.float32(0))
    assert (seen.low, seen.high) == (float(low), float(high))
    assert seen.least == float(np.abs(values[values != 0]).min())


@EACH
@SCALES
def test_percentile_clips_one_in_ten_thousand(name: str, symmetric: bool, levels: int) -> None:
    histogram = histogram_of(DRAWN[name])
    seen = find_range(histogram, "percentile", symmetric=symmetric, levels=levels)
    wanted = np.sort(np.abs(DRAWN[name]))[math.ceil(DRAWN[name].size * 0.9999) - 1]
    assert wanted <= seen.largest <= wanted + histogram.width


@EACH
@SCALES
def test_mse_is_as_good_as_the_best_of_a_thousand_thresholds(
    name: str, symmetric: bool, levels: int
) -> None:
    values = DRAWN[name]
    seen = find_range(histogram_of(values), "mse", symmetric=symmetric, levels=levels)
    limits = np.linspace(0.002, 1, 1000) * float(np.abs(values).max())
    best = min(rounding_error(values, clipped(values, each), symmetric) for each in limits)
    assert rounding_error(values, seen, symmetric) <= 1.03 * best


def slow_divergence(counts: list[int], below: int, above: int, steps: int) -> float:
    """Migacz 2017: P is clipped, Q is rounded and spread; KL(P, Q) by its definition."""
    size = len(counts)
    reference = list(map(float, counts))
    reference[0] += below
    reference[-1] += above
    inside: dict[int, list[int]] = {}
    for i in (i for i in range(size) if counts[i]):
        inside.setdefault(i * steps // size, []).append(i)
    rounded = [0.0] * size
    for step in inside.values():
        for i in step:
            rounded[i] = sum(counts[j] for j in step) / len(step)
    result = 0.0
    for p, q in zip(reference, rounded, strict=True):
        if p and not q:
            return math.inf
        if p:
            result += p / sum(reference) * math.log(p / sum(reference) * sum(rounded) / q)
    return result


def slow_entropy(values: Floats, width: float, limit: int, symmetric: bool) -> float:
    """Divergence when clipped at ``limit`` bins; infinite if more than 1 % is or Q is 0 there."""
    exact = values[values != 0].astype(np.float64)
    bins = np.floor((np.abs(exact) if symmetric else exact) / width).astype(int)
    low, high = max(-limit, min(int(bins.min()), 0)), min(limit, max(int(bins.max()) + 1, 0))
    inside = (bins >= low) & (bins < high)
    counts = np.bincount(bins[inside] - low, minlength=high - low)
    below, above = int((bins < low).sum()), int((bins >= high).sum())
    lost = (below and not counts[0]) or (above and not counts[-1])
    if lost or inside.mean() < 0.99:
        return math.inf
    return slow_divergence(counts.tolist(), below, above, 128 if symmetric else 256)


@pytest.mark.parametrize("name", ["relu", "laplace", "long tails"])
@SCALES
def test_entropy_diverges_no_more_than_the_same_written_down_slowly(
    name: str, symmetric: bool, levels: int
) -> None:
    values = DRAWN[name][: 4000 if symmetric else 30_000]
    histogram = histogram_of(values)
    width, all_bins = histogram.width, math.ceil(histogram.extremes.largest / histogram.width)
    seen = find_range(histogram, "entropy", symmetric=symmetric, levels=levels)
    slow = [
        slow_entropy(values, width, each, symmetric)
        for each in range(all_bins, 256, -(1 if symmetric else 4))
    ]
    chosen = slow_entropy(values, width, math.ceil(seen.largest / width), symmetric)
    assert sum(map(math.isfinite, slow)) >= 5
    assert chosen <= min(slow) + 1e-9


def test_entropy_clips_tails_and_not_the_rest() -> None:
    values = DRAWN["long tails"]
    seen = find_range(histogram_of(values), "entropy", symmetric=True, levels=255)
    assert 0.999 < np.mean(np.abs(values) <= seen.largest) < 1


@SCALES
def test_entropy_does_not_clip_everything_into_one_bin(symmetric: bool, levels: int) -> None:
    """Where nothing but the least numbers is left, nothing diverges from itself."""
    seen = find_range(
        histogram_of(DRAWN["far from zero"]), "entropy", symmetric=symmetric, levels=levels
    )
    assert seen.high > 69


@pytest.mark.parametrize("method", METHODS)
@SCALES
def test_a_scale_of_the_values_is_one_of_the_range(
    method: Method, symmetric: bool, levels: int
) -> None:
    """Bins are as wide as powers of two: eight times the values have eight times the range."""
    values = DRAWN["long tails"]
    small, large = (
        find_range(histogram_of(each), method, symmetric=symmetric, levels=levels)
        for each in (values, values * np.float32(8))
    )
    assert (large.low, large.high) == (8 * small.low, 8 * small.high)


@pytest.mark.parametrize("method", METHODS)
def test_mirrored_values_have_the_mirrored_range(method: Method) -> None:
    values = DRAWN["lopsided"]
    there, back = (
        find_range(histogram_of(each), method, symmetric=False, levels=256)
        for each in (values, -values)
    )
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low), rel=0.01)


@pytest.mark.parametrize("method", METHODS)
@SCALES
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, -0.0], Range(0, 0)),
        ([3.0, 3.0], Range(0, 3, 3)),
        ([-3.0], Range(-3, 0, 3)),
        ([0.0] * 1000 + [2.0], Range(0, 2, 2)),
        ([1e-42, 0.0], Range(0, float(np.float32(1e-42)), float(np.float32(1e-42)))),
        ([1.5e19, -1.5e19], Range(*(np.float32([-1.5e19, 1.5e19, 1.5e19]).tolist()))),
    ],
    ids=["zeros", "a constant", "a negative one", "rarely on", "denormal", "large"],
)
def test_values_without_a_distribution_keep_their_extremes(
    method: Method, symmetric: bool, levels: int, values: list[float], expected: Range
) -> None:
    seen = find_range(histogram_of(np.float32(values)), method, symmetric=symmetric, levels=levels)
    assert (seen.low, seen.high, seen.least) == pytest.approx(
        (expected.low, expected.high, expected.least), rel=0.01
    )
    assert (seen.low < 0, seen.high > 0) == (expected.low < 0, expected.high > 0)


@pytest.mark.parametrize("method", METHODS)
def test_without_finite_numbers_there_is_no_range(method: Method) -> None:
    with pytest.raises(ArtefactError, match="3 NaN"):
        find_range(histogram_of(np.full(3, np.nan, np.float32)), method, symmetric=True, levels=255)
