"""Counts depend on what was seen, and on nothing else."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from mmedge.calibration.histogram import BINS, HUGE, Histogram
from mmedge.calibration.lowering import Range

Floats = NDArray[np.float32]
FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True, allow_subnormal=True)
MANY = arrays(np.float32, st.integers(1, 200), elements=FLOATS)


def state(histogram: Histogram) -> tuple[Any, ...]:
    """Everything that a histogram knows; -0.0 and 0.0 are told apart."""
    ends = (histogram.minimum, histogram.maximum, histogram.least)
    left_out = (histogram.nan, histogram.infinite, histogram.masks)
    counts = histogram.counts.tobytes()
    return (*map(float.hex, ends), *left_out, histogram.zeros, histogram.exponent, counts)


def counted(*parts: Floats, mask_below: float = -HUGE) -> Histogram:
    histogram = Histogram(mask_below=mask_below)
    for each in parts:
        histogram.add(each)
    return histogram


def direct(values: Floats, exponent: int) -> NDArray[np.int64]:
    """Count with exact integers what `Histogram` counts with floats that double their bins."""
    counts = np.zeros(2 * BINS - 1, np.int64)
    for each in values:
        if math.isfinite(each) and abs(float(each)) < HUGE:
            numerator, denominator = float(each).as_integer_ratio()
            shift = 2 ** abs(exponent)
            top, bottom = (
                (numerator, denominator * shift)
                if exponent > 0
                else (numerator * shift, denominator)
            )
            counts[(abs(top) // bottom) * (1 if top > 0 else -1) + BINS - 1] += 1
    return counts


@given(MANY)
def test_every_number_is_in_the_bin_that_exact_arithmetic_puts_it_into(values: Floats) -> None:
    histogram = counted(values)
    np.testing.assert_array_equal(histogram.counts, direct(values, histogram.exponent))
    assert histogram.total + histogram.left_out == values.size


@given(MANY, st.data())
def test_batches_and_order_play_no_part(values: Floats, data: st.DataObject) -> None:
    whole = state(counted(values))
    assert state(counted(*values[:, None])) == whole
    assert state(counted(*np.array_split(values, 7))) == whole
    shuffled = np.array(data.draw(st.permutations(list(values))), np.float32)
    assert state(counted(shuffled)) == whole
    assert state(counted(*shuffled[:, None])) == whole


@given(MANY, MANY)
def test_merged_histograms_are_one_of_everything(one: Floats, other: Floats) -> None:
    merged = counted(one)
    merged.merge(counted(other))
    assert state(merged) == state(counted(np.concatenate([one, other])))


def test_a_batch_of_1_counts_as_one_of_32() -> None:
    values = np.random.default_rng(0).standard_t(2, (96, 40, 50)).astype(np.float32)
    whole = counted(values)
    for batch in (1, 32):
        parts = [values[i : i + batch] for i in range(0, 96, batch)]
        assert state(counted(*parts)) == state(whole)
        assert state(counted(*reversed(parts))) == state(whole)
    assert (whole.minimum, whole.maximum) == (values.min(), values.max())


def test_an_outlier_at_the_end_widens_the_bins_as_one_at_the_beginning_does() -> None:
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    histogram = counted(values)
    assert histogram.exponent == -10  # 3.something, of 4096 bins
    outlier = np.float32([1e6])
    histogram.add(outlier)
    assert histogram.exponent == 8
    assert state(histogram) == state(counted(outlier, values))
    assert histogram.total == 1001


def test_bins_are_cut_towards_zero() -> None:
    histogram = counted(np.float32([-4095.5, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 4095.5]))
    assert histogram.width == 1
    found = {int(i) - BINS + 1: int(histogram.counts[i]) for i in np.flatnonzero(histogram.counts)}
    assert found == {-4095: 1, -1: 2, 0: 3, 1: 2, 4095: 1}
    magnitudes = histogram.magnitudes()
    assert (magnitudes[0], magnitudes[1], magnitudes[4095], magnitudes.sum()) == (3, 4, 2, 9)
    assert histogram.zeros == 1


def test_extremes_are_exact() -> None:
    histogram = counted(np.float32([0.1, -0.3, 0.7]), np.float32([0.0]))
    assert histogram.extremes == Range(
        float(np.float32(-0.3)), float(np.float32(0.7)), float(np.float32(0.1))
    )


def test_denormals_lie_in_the_middle_bin_and_keep_their_extremes() -> None:
    histogram = counted(np.float32([1e-45, -1e-45, 1e-40]))
    assert histogram.counts[BINS - 1] == 3
    assert histogram.maximum == float(np.float32(1e-40))
    assert histogram.least == float(np.float32(1e-45))
    histogram.add(np.float32([1.0]))
    assert histogram.counts[BINS - 1] == 3


def test_nothing_but_zeros_is_zero_of_either_sign() -> None:
    for zeros in ([0.0, -0.0], [-0.0, 0.0]):
        histogram = counted(np.float32(zeros))
        assert (histogram.total, histogram.zeros, histogram.extremes) == (2, 2, Range(0, 0))
        assert math.copysign(1, histogram.minimum) == 1


def test_nothing_but_nan_is_counted_as_nothing_seen() -> None:
    histogram = counted(np.full((3, 4), np.nan, np.float32))
    assert (histogram.nan, histogram.total, histogram.extremes) == (12, 0, Range(0, 0))


def test_masks_and_infinities_are_left_out_and_counted() -> None:
    lowest = np.finfo(np.float32).min
    values = np.float32([1, -2, lowest, lowest / 8, -lowest, np.inf, -np.inf, np.nan, -1e9])
    histogram = counted(values)
    assert (histogram.masks, histogram.infinite, histogram.nan) == (3, 2, 1)
    assert histogram.minimum == -1e9
    before_softmax = counted(values, mask_below=-5000.0)
    assert (before_softmax.masks, before_softmax.minimum, before_softmax.maximum) == (4, -2, 1)


def test_an_empty_array_is_no_number() -> None:
    assert counted(np.zeros((0, 3), np.float32)).total == 0


def test_float16_and_integers_count_as_float32() -> None:
    histogram = counted(np.float16([0.5, -2]).astype(np.float16))
    histogram.add(np.uint8([7]))
    assert (histogram.minimum, histogram.maximum, histogram.total) == (-2, 7, 3)


def test_histograms_of_other_masks_do_not_merge() -> None:
    with pytest.raises(ValueError, match="mask_below"):
        Histogram().merge(Histogram(mask_below=-5000.0))


def test_an_array_that_is_no_copy_is_left_as_it_is() -> None:
    values = np.random.default_rng(0).normal(size=(50, 40)).astype(np.float32)
    before = values.copy()
    assert counted(values.T, values[::2]).total == 3000
    np.testing.assert_array_equal(values, before)


@given(MANY, st.integers(1, 100))
def test_bars_hold_every_number_and_lie_in_order(values: Floats, most: int) -> None:
    histogram = counted(values)
    edges, counts = histogram.bars(most)
    assert len(counts) <= most
    assert sum(counts) == histogram.total
    assert edges == sorted(set(edges))
    if counts:
        assert len(edges) == len(counts) + 1
        assert edges[0] <= histogram.minimum <= histogram.maximum <= edges[-1]


def test_bars_are_cut_at_the_bins_edges_and_the_middle_one_is_twice_as_wide() -> None:
    assert counted(np.array([-2.5, 0.5, 0.75, 4095.0], np.float32)).bars(5000)[0][:4] == [
        -3.0, -2.0, -1.0, 1.0,
    ]  # fmt: skip
    edges, counts = counted(np.array([0.0, 1.0, 2.0, 4095.0], np.float32)).bars(2)
    assert edges == [-1.0, 2048.0, 4096.0]
    assert counts == [3, 1]


def test_what_lies_beyond_a_range_is_counted_to_the_accuracy_of_a_bin() -> None:
    histogram = counted(np.array([-4000.0, -3.0, 0.0, 0.5, 3.0, 5.0, 4000.0], np.float32))
    assert histogram.width == 1.0
    assert histogram.beyond(Range(-10.0, 10.0)) == 2
    assert histogram.beyond(Range(-4000.0, 4.0)) == 2
    assert histogram.beyond(Range(-2.0, 4000.0)) == 2
    assert histogram.beyond(Range(0.0, 0.0)) == 5
    assert histogram.beyond(histogram.extremes) == 0
    assert histogram.beyond(Range(-1e9, 1e9)) == 0
    assert Histogram().beyond(Range(0.0, 0.0)) == 0
