"""Numbers in INT8: symmetric, weights with one scale per output channel."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEVELS", "Floats", "as_half", "dequantise", "quantise", "weight_scales"]

Floats = NDArray[np.float32]
Method = Literal["min-max", "mse"]

LEVELS = 127
"""Steps on either side of zero: a scale is a threshold over this."""

SHRINK = np.linspace(1.0, 0.6, 21)
"""Thresholds that `mse` tries, as parts of the largest weight of a channel."""


def as_half(scales: Floats) -> Floats:
    """Round scales up to numbers that FP16 has, so that typing a graph FP16 changes none.

    Below its least number, scales become that: what is rounded by them is next to nothing.
    Above its largest they stay: such a tensor stays float32. What is above such a number by no
    more than float32's own rounding is that number.
    """
    scales = np.asarray(scales, np.float32)
    small = np.clip(scales, np.finfo(np.float16).smallest_subnormal, np.finfo(np.float16).max)
    half = small.astype(np.float16)
    with np.errstate(over="ignore"):  # what follows the largest is not taken
        up = np.where(
            half < small * np.float32(1 - 1e-5), np.nextafter(half, np.float16(np.inf)), half
        )
    found: Floats = np.where(scales > small, scales, up.astype(np.float32)).astype(np.float32)
    return found


def quantise(weight: Floats, scales: Floats, axis: int) -> NDArray[np.int8]:
    """Round to int8, halves to even as ``QuantizeLinear`` does.

    Args:
        weight: any shape.
        scales: positive, one per index of ``axis``.
        axis: the output channel's.
    """
    steps = np.rint(weight / _along(scales, weight.ndim, axis))
    found: NDArray[np.int8] = np.clip(steps, -LEVELS, LEVELS).astype(np.int8)
    return found


def dequantise(stored: NDArray[np.int8], scales: Floats, axis: int) -> Floats:
    """Give the float32 weight that int8 stands for."""
    found: Floats = stored.astype(np.float32) * _along(scales, stored.ndim, axis)
    return found


def weight_scales(weight: Floats, axis: int, method: Method) -> Floats:
    """Choose a scale per output channel, float32 ``[channels]``.

    ``min-max`` maps the largest weight of a channel to 127. ``mse`` takes the threshold, of
    those in `SHRINK`, with the least squared error of the rounded weights: clipping the few
    largest makes the steps of all others finer (Choukroun et al. 2019, "Low-bit quantization
    of neural networks for efficient inference", there per layer and called MMSE).
    """
    rows = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)
    largest = np.abs(rows).max(axis=1)
    scales = as_half(largest / LEVELS)
    return scales if method == "min-max" else _best(rows, scales)


def _best(rows: Floats, scales: Floats) -> Floats:
    """Of the shrunk scales, those of least squared error; of equals, the widest."""
    best: Floats = scales.copy()
    least = _error(rows, scales)
    for factor in SHRINK[1:]:
        tried = as_half(scales * np.float32(factor))
        error = _error(rows, tried)
        better = error < least
        best[better], least[better] = tried[better], error[better]
    return best


def _error(rows: Floats, scales: Floats) -> Floats:
    column = scales[:, None]
    steps = np.clip(np.rint(rows / column), -LEVELS, LEVELS)
    found: Floats = np.square(steps * column - rows).sum(axis=1)
    return found


def _along(scales: Floats, ndim: int, axis: int) -> Floats:
    found: Floats = scales.reshape([-1 if index == axis else 1 for index in range(ndim)])
    return found
