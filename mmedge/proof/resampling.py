"""Metrics that are no mean over samples, drawn in pairs: macro-F1, curves, relative errors.

Each function adds the sample that loses all that one can lose (see `mmedge.proof.paired`) as
the last, and gives what draws a metric of FP32 and of the plan from the same weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmedge.errors import ConfigError
from mmedge.proof import weighted

__all__ = ["Draw", "lose_label", "lose_number", "lose_rank", "lose_tensor"]

Array = NDArray[np.generic]
Floats = NDArray[np.float64]

DRAWS = 500
CHUNK = 50
"""Draws held in memory at a time: a weight for every sample in each."""


@dataclass(frozen=True, slots=True)
class Draw:
    """A metric of FP32 and of the plan.

    Attributes:
        samples: how many, without the lost one.
        before: weights ``[samples + 1, B]`` -> the metric in FP32 ``[B]``.
        after: the same of the plan.
    """

    samples: int
    before: Callable[[Floats], Floats]
    after: Callable[[Floats], Floats]

    def change(self) -> float:
        """How much higher the plan's metric is."""
        weights = np.append(np.ones(self.samples), 0.0)[:, None]
        return float((self.after(weights) - self.before(weights))[0])

    def changes(self, seed: int) -> Floats:
        """The same in `DRAWS` draws, with the lost sample among them."""
        random = np.random.default_rng(seed)
        parts = []
        for _ in range(0, DRAWS, CHUNK):
            weights = random.standard_exponential((self.samples + 1, CHUNK))
            parts.append(self.after(weights) - self.before(weights))
        return np.concatenate(parts)


def lose_label(before: Array, after: Array, truths: Array, labels: int) -> Draw:
    """Macro-F1 of class numbers ``[N]``.

    The lost sample is of the rarest class and is taken for the next rarest: nowhere does one
    sample weigh more.
    """
    classes, counts = np.unique(truths, return_counts=True)
    rare = classes[np.argsort(counts, kind="stable")]
    taken = rare[1] if len(rare) > 1 else (rare[0] + 1) % labels
    true, first, then = (
        np.append(each, last)
        for each, last in ((truths, rare[0]), (before, rare[0]), (after, taken))
    )
    return Draw(
        len(truths),
        lambda weights: weighted.macro_f1(first, true, weights),
        lambda weights: weighted.macro_f1(then, true, weights),
    )


def lose_rank(metric: str, before: Floats, after: Floats, truths: Array) -> Draw:
    """Mean average precision, or ROC AUC, of scores ``[N, K]``.

    The lost sample is of the label that the fewest samples have, first in FP32 and last in
    the plan; for ROC AUC, where misses are rarer than matches, it is a miss and goes up.

    Raises:
        ConfigError: no label holds for some sample, or for ROC AUC for every sample.
    """
    curve = metric == "roc_auc"
    labels = before.shape[1]
    true = np.asarray(truths, bool).reshape(-1, labels)
    holds = np.count_nonzero(true, axis=0)
    told = (holds > 0) & (not curve or holds < len(true))
    if not told.any():
        also = " and some for which none does" if curve else ""
        raise ConfigError(
            f"these samples cannot tell {metric}: it takes some for which a label holds{also}"
        )
    column = int(np.where(told, holds, len(true) + 1).argmin())
    rises = not curve or 2 * holds[column] <= len(true)
    last = (np.arange(labels) == column) & rises
    true = np.concatenate([true, last[None]])
    first, then = (
        _with_rank(scores, column, top=top) for scores, top in ((before, rises), (after, not rises))
    )
    if curve:
        return Draw(
            len(before),
            lambda weights: weighted.roc_auc(first[:, 0], true[:, 0], weights),
            lambda weights: weighted.roc_auc(then[:, 0], true[:, 0], weights),
        )
    return Draw(
        len(before),
        lambda weights: weighted.mean_average_precision(first, true, weights),
        lambda weights: weighted.mean_average_precision(then, true, weights),
    )


def lose_number(before: Floats, after: Floats, truths: Floats) -> Draw:
    """Relative MAE of quantities ``[N, K]``.

    An error has no largest. The lost sample is answered as badly as by one who knows only the
    truths' mean, or as the worst of these samples, whichever is worse.

    Raises:
        ConfigError: no quantity ever changes.
    """
    if not np.ptp(truths, axis=0).any():
        raise ConfigError(
            "these samples cannot tell relative_mae: their true values are all the same"
        )
    errors, then = np.abs(before - truths), np.abs(after - truths)
    mean = truths.mean(axis=0, keepdims=True)
    worst = np.maximum((then - errors).max(axis=0), np.abs(truths - mean).mean(axis=0))
    true = np.concatenate([truths, mean])
    errors = np.concatenate([errors, np.zeros_like(mean)])
    then = np.concatenate([then, worst[None]])
    return Draw(
        len(before),
        lambda weights: weighted.relative_mae(errors, true, weights),
        lambda weights: weighted.relative_mae(then, true, weights),
    )


def lose_tensor(before: Floats, after: Floats, truths: Floats) -> Draw:
    """Relative RMS error of tensors ``[N, *shape]``.

    Squared, one sample of no worth would outweigh a thousand good ones: the lost sample is
    the worst of these again.

    Raises:
        ConfigError: all references are zero.
    """
    references = _norms(truths)
    if not references.any():
        raise ConfigError("these samples cannot tell relative_rms: all references are zero")
    errors, then = (_norms(each - truths) for each in (before, after))
    worst = int((then**2 - errors**2).argmax())
    sizes, errors, then = (np.append(each, each[worst]) for each in (references, errors, then))
    return Draw(
        len(before),
        lambda weights: weighted.relative_rms(errors, sizes, weights),
        lambda weights: weighted.relative_rms(then, sizes, weights),
    )


def _norms(tensors: Floats) -> Floats:
    return np.asarray(np.linalg.norm(tensors.reshape(len(tensors), -1), axis=1))


def _with_rank(scores: Floats, column: int, *, top: bool) -> Floats:
    """Add a sample that is last everywhere, or first in one column."""
    row = scores.min(axis=0) - 1
    if top:
        row[column] = scores[:, column].max() + 1
    return np.concatenate([scores, row[None]])
