"""How good answers are: pure functions of answers and truths.

Each gives NaN where the truths cannot tell: a mean over nothing, a curve without positives.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "accuracy",
    "average_precision",
    "expected_calibration_error",
    "macro_f1",
    "mean_average_precision",
    "precision_recall_f1",
    "recall_at_k",
    "relative_mae",
    "relative_rms",
    "roc_auc",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

BINS = 15
BIN_SAMPLES = 10


def accuracy(answers: ArrayLike, truths: ArrayLike) -> float:
    """Share of answers ``[N]`` that are right, 0..1."""
    right = np.asarray(answers) == np.asarray(truths)
    return float(right.mean()) if len(right) else np.nan


def macro_f1(answers: ArrayLike, truths: ArrayLike) -> float:
    """Mean over the classes of the harmonic mean of precision and recall, 0..1.

    The average of F1 scores, not the F1 of averages (Opitz and Burst 2019, "Macro F1 and
    macro F1"). Classes that are neither answered nor true do not count.

    Args:
        answers: int ``[N]``, class numbers.
        truths: int ``[N]``.
    """
    given, true = np.asarray(answers), np.asarray(truths)
    scores = [
        2
        * np.sum((given == each) & (true == each))
        / (np.sum(given == each) + np.sum(true == each))
        for each in np.union1d(given, true)
    ]
    return float(np.mean(scores)) if scores else np.nan


def precision_recall_f1(
    hits: ArrayLike, given: ArrayLike, true: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and their harmonic mean for each class, 0..1 (van Rijsbergen 1979).

    Args:
        hits: ``[K]``, how many samples were rightly answered with each class.
        given: ``[K]``, how many were answered with it; without any, its precision is NaN.
        true: ``[K]``, of how many it was the truth; without any, its recall is NaN.

    Returns:
        Three arrays ``[K]``. F1 is NaN where a class is neither answered nor true.
    """
    right, answered, existing = (np.asarray(each, np.float64) for each in (hits, given, true))
    with np.errstate(invalid="ignore"):
        return right / answered, right / existing, 2 * right / (answered + existing)


def expected_calibration_error(sure: ArrayLike, right: ArrayLike) -> float:
    """Mean distance between how sure answers are and how often they are right, 0..1.

    As by Guo et al. 2017 ("On calibration of modern neural networks", equation 3), but in
    bins of equally many samples (Nguyen and O'Connor 2015): in bins of equal width nearly
    all samples of a good model fall into the last one. 15 bins, or as many as have ten
    samples: in a bin of one, an answer that is rightly unsure would be far off either way.

    Args:
        sure: float ``[N]``, the probability that the answer is right.
        right: bool ``[N]``, whether it is.
    """
    values, truths = np.asarray(sure, np.float64), np.asarray(right, np.float64)
    if not len(values):
        return np.nan
    order = np.argsort(values, kind="stable")
    parts = np.array_split(order, max(1, min(BINS, len(order) // BIN_SAMPLES)))
    gaps = [abs(float((values[part] - truths[part]).sum())) for part in parts]
    return float(sum(gaps) / len(values))


def average_precision(scores: ArrayLike, truths: ArrayLike) -> float:
    """Precision averaged over the positives, best score first, 0..1.

    ``sum_n (R_n - R_(n-1)) P_n`` over the distinct scores, without interpolation (Manning,
    Raghavan and Schuetze 2008, "Introduction to information retrieval", section 8.4). Equal
    scores are one step, so that their order plays no part.

    Args:
        scores: float ``[N]``.
        truths: bool ``[N]``.
    """
    hits, count = _hits_by_score(scores, truths)
    if not hits.size or not hits[-1]:
        return np.nan
    gained = np.diff(hits, prepend=0) / hits[-1]
    return float(np.sum(gained * hits / count))


def mean_average_precision(scores: ArrayLike, truths: ArrayLike) -> float:
    """Mean of `average_precision` over the labels that are true at least once.

    As in the PASCAL VOC classification challenge (Everingham et al. 2010), but without its
    interpolation.

    Args:
        scores: float ``[N, K]``.
        truths: bool ``[N, K]``.
    """
    columns = zip(np.asarray(scores).T, np.asarray(truths).T, strict=True)
    each = [average_precision(score, truth) for score, truth in columns if truth.any()]
    return float(np.mean(each)) if each else np.nan


def roc_auc(scores: ArrayLike, truths: ArrayLike) -> float:
    """Probability that a positive scores higher than a negative, a tie counting half, 0..1.

    The area under the ROC curve is the Mann-Whitney statistic (Hanley and McNeil 1982).

    Args:
        scores: float ``[N]``.
        truths: bool ``[N]``.
    """
    values, positive = np.asarray(scores, np.float64), np.asarray(truths, bool)
    above, below = values[positive], np.sort(values[~positive])
    if not above.size or not below.size:
        return np.nan
    wins = np.searchsorted(below, above, "left") + np.searchsorted(below, above, "right")
    return float(wins.mean() / 2 / below.size)


def relative_mae(answers: ArrayLike, truths: ArrayLike) -> float:
    """Mean absolute error over that of always answering the truths' mean; 0 is perfect.

    The relative MAE of Hyndman and Koehler 2006 ("Another look at measures of forecast
    accuracy", section 2.4), its benchmark the mean, as in the relative absolute error of
    Witten, Frank and Hall 2011 ("Data mining", section 5.8). It has no unit, so quantities
    are averaged; one that never changes does not count.

    Args:
        answers: float ``[N, K]``.
        truths: float ``[N, K]``, in the same units.
    """
    given, true = np.asarray(answers, np.float64), np.asarray(truths, np.float64)
    if not len(true):
        return np.nan
    error = np.abs(given - true).mean(axis=0)
    # Of equal numbers the mean may differ from them in the last bit.
    spread = np.where(np.ptp(true, axis=0) > 0, np.abs(true - true.mean(axis=0)).mean(axis=0), 0)
    told = spread > 0
    return float(np.mean(error[told] / spread[told])) if told.any() else np.nan


def recall_at_k(similarities: ArrayLike, partners: ArrayLike, k: int) -> float:
    """Share of queries whose partner is among the ``k`` most similar, 0..1.

    As image and sentence retrieval are measured (Hodosh et al. 2013; CLIP, Radford 2021).
    A tie counts against the partner: a model that finds everything alike finds nothing.

    Args:
        similarities: float ``[Q, N]``, of each query to each item.
        partners: int ``[Q]``, the item that belongs to each query.
        k: from 1.
    """
    table, index = np.asarray(similarities, np.float64), np.asarray(partners)
    if not len(table):
        return np.nan
    own = table[np.arange(len(table)), index]
    rank = np.sum(table >= own[:, None], axis=1)  # the partner itself counts, so from 1
    return float(np.mean(rank <= k))


def relative_rms(errors: ArrayLike, references: ArrayLike) -> float:
    """Root of the squared error over the squared reference, 0 is perfect.

    ``|a - r| / |r|`` in the Euclidean norm over all numbers of all samples (Golub and Van
    Loan, "Matrix computations", section 2.2), so that large tensors and samples weigh more.

    Args:
        errors: answers less references, float of any shape; the norm of each sample's does
            as well.
        references: of the same shape, or their norms.
    """
    size = np.linalg.norm(np.asarray(references, np.float64))
    return float(np.linalg.norm(np.asarray(errors, np.float64)) / size) if size else np.nan


def _hits_by_score(scores: ArrayLike, truths: ArrayLike) -> tuple[Floats, Floats]:
    """At each distinct score, from the highest: how many positives, and how many in all."""
    values, positive = np.asarray(scores, np.float64), np.asarray(truths, bool)
    order = np.argsort(-values, kind="stable")
    ends = np.flatnonzero(np.diff(values[order], append=-np.inf))
    return np.cumsum(positive[order])[ends].astype(np.float64), (ends + 1).astype(np.float64)
