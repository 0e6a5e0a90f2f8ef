"""How sure a model should be: temperatures of its logits, for each subset of modalities."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mmedge.specs import Classification

__all__ = ["fit_temperature", "fit_temperatures"]

Array = NDArray[np.generic]

FURTHEST = 20.0
"""A temperature is at most so many times the one that it begins from, or that part of it."""
PRIOR = 50
"""So many samples weigh as much as what is taken for granted without any."""
STEPS = 24


def fit_temperatures(
    task: Classification, answers: Mapping[str, tuple[Array, Array]]
) -> dict[str, float]:
    """Fit a temperature for each subset of modalities.

    Args:
        task: what is answered.
        answers: subset -> logits ``[N, K]`` and truths ``[N]``; the full set first. What few
            samples say of another subset gives way to its temperature, what few say of that
            one to the task's own.

    Returns:
        Subset -> temperature, to 6 digits.
    """
    fitted: dict[str, float] = {}
    full = task.temperature
    for subset, (logits, truths) in answers.items():
        value = fit_temperature(logits, truths, otherwise=full)
        full = value if not fitted else full
        fitted[subset] = float(f"{value:.6g}")
    return fitted


def fit_temperature(logits: Array, truths: Array, *, otherwise: float = 1.0) -> float:
    """Find what to divide logits by, so that the truths are least surprising.

    The negative log-likelihood (Guo et al. 2017, "On calibration of modern neural networks")
    is convex in the inverse of the temperature, so its slope is halved to its only root.
    Logits without a wrong answer have none, and would be made ever surer: the result is
    limited, and drawn towards ``otherwise``, on the scale of logarithms, as by 50 samples
    that say so.

    Args:
        logits: ``[N, K]``.
        truths: int ``[N]``.
        otherwise: the temperature without any sample.
    """
    count = len(logits)
    if not count:
        return otherwise
    values = logits.astype(np.float64)
    values -= values.max(axis=1, keepdims=True)
    true = float(values[np.arange(count), truths.astype(np.int64)].mean())
    low, high = math.log(otherwise / FURTHEST), math.log(otherwise * FURTHEST)
    for _ in range(STEPS):
        middle = (low + high) / 2
        if _mean_logit(values, math.exp(-middle)) > true:
            low = middle  # it is surer than it is right
        else:
            high = middle
    weight = count / (count + PRIOR)
    return math.exp(weight * (low + high) / 2 + (1 - weight) * math.log(otherwise))


def _mean_logit(values: NDArray[np.float64], inverse: float) -> float:
    """The logit that the model expects of the truth, at an inverse temperature."""
    weights = np.exp(values * inverse)
    expected = np.einsum("nk,nk->n", weights, values) / weights.sum(axis=1)
    return float(expected.mean())
