"""The metrics of `mmedge.proof.metrics` under many weightings of the samples at once.

What a bootstrap needs: each column of ``weights`` ``[N, B]`` is one draw. Weights of one
give the plain metric, whole weights that of samples so often repeated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["macro_f1", "mean_average_precision", "relative_mae", "relative_rms", "roc_auc"]

Floats = NDArray[np.float64]


def macro_f1(answers: ArrayLike, truths: ArrayLike, weights: Floats) -> Floats:
    """Macro-F1 ``[B]`` of class numbers ``[N]``."""
    given, true = np.asarray(answers), np.asarray(truths)
    classes = np.union1d(given, true)
    right = given == true
    hits = _by_class(given[right], weights[right], classes)
    sizes = _by_class(given, weights, classes) + _by_class(true, weights, classes)
    scores = np.divide(2 * hits, sizes, out=np.zeros_like(hits), where=sizes > 0)
    return np.asarray(scores.sum(axis=0) / np.count_nonzero(sizes, axis=0))


def mean_average_precision(scores: ArrayLike, truths: ArrayLike, weights: Floats) -> Floats:
    """Mean average precision ``[B]`` of scores and truths ``[N, K]``."""
    columns = zip(np.asarray(scores).T, np.asarray(truths, bool).T, strict=True)
    each = [_average_precision(score, truth, weights) for score, truth in columns if truth.any()]
    return np.asarray(np.mean(each, axis=0))


def roc_auc(scores: ArrayLike, truths: ArrayLike, weights: Floats) -> Floats:
    """Area under the ROC curve ``[B]`` of scores and truths ``[N]``, by the trapezoid rule."""
    hits, count = _sums_by_score(np.asarray(scores), np.asarray(truths, bool), weights)
    misses = count - hits
    heights = hits - np.diff(hits, axis=0, prepend=0) / 2
    steps = np.diff(misses, axis=0, prepend=0)
    return np.asarray((heights * steps).sum(axis=0) / (hits[-1] * misses[-1]))


def relative_mae(errors: Floats, truths: ArrayLike, weights: Floats) -> Floats:
    """Relative MAE ``[B]`` of absolute errors and truths ``[N, K]``."""
    total, each = weights.sum(axis=0), []
    for error, true in zip(errors.T, np.asarray(truths, np.float64).T, strict=True):
        if np.ptp(true):
            spread = np.abs(true[:, None] - true @ weights / total)
            each.append(error @ weights / np.einsum("nb,nb->b", spread, weights))
    return np.asarray(np.mean(each, axis=0))


def relative_rms(errors: Floats, references: Floats, weights: Floats) -> Floats:
    """Relative RMS ``[B]`` of the norms ``[N]`` of errors and references."""
    return np.asarray(np.sqrt((errors**2 @ weights) / (references**2 @ weights)))


def _average_precision(scores: ArrayLike, truths: NDArray[np.bool_], weights: Floats) -> Floats:
    hits, count = _sums_by_score(np.asarray(scores), truths, weights)
    precision = np.divide(hits, count, out=np.zeros_like(hits), where=count > 0)
    return np.asarray((np.diff(hits, axis=0, prepend=0) * precision).sum(axis=0) / hits[-1])


def _sums_by_score(
    scores: NDArray[np.generic], truths: NDArray[np.bool_], weights: Floats
) -> tuple[Floats, Floats]:
    """At each distinct score, from the highest: the weight of the positives, and of all."""
    values = scores.astype(np.float64)
    order = np.argsort(-values, kind="stable")
    ends = np.flatnonzero(np.diff(values[order], append=-np.inf))
    count = weights[order]
    hits = np.cumsum(count * truths[order, None], axis=0)[ends]
    return hits, np.cumsum(count, axis=0, out=count)[ends]


def _by_class(numbers: NDArray[np.generic], weights: Floats, classes: ArrayLike) -> Floats:
    """Sum the rows of each class, ``[C, B]``."""
    sums = np.zeros((len(np.asarray(classes)), weights.shape[1]))
    if len(numbers):
        order = np.argsort(numbers, kind="stable")
        there, starts = np.unique(numbers[order], return_index=True)
        sums[np.searchsorted(classes, there)] = np.add.reduceat(weights[order], starts, axis=0)
    return sums
