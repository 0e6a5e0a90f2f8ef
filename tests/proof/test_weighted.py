from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mmedge.proof import metrics, weighted

RANDOM = np.random.default_rng(3)
COUNT = 60
LABELS = RANDOM.integers(0, 4, COUNT)
ANSWERS = np.where(RANDOM.random(COUNT) < 0.6, LABELS, RANDOM.integers(0, 6, COUNT))
# Rounded, so that some are equal.
SCORES = np.round(RANDOM.normal(size=(COUNT, 3)), 1)
HOLDS = np.column_stack([SCORES[:, 0] + RANDOM.normal(size=COUNT) > 0, LABELS == 1, LABELS < 0])
VALUES = RANDOM.normal(size=(COUNT, 2))
TRUE = np.column_stack([VALUES[:, 0] + RANDOM.normal(size=COUNT), np.full(COUNT, 7.0)])

Weighing = Callable[[Any, Any, Any], Any]
CASES = [
    (weighted.macro_f1, metrics.macro_f1, ANSWERS, LABELS),
    (weighted.mean_average_precision, metrics.mean_average_precision, SCORES, HOLDS),
    (weighted.roc_auc, metrics.roc_auc, SCORES[:, 0], HOLDS[:, 0]),
    (
        lambda answers, truths, w: weighted.relative_mae(np.abs(answers - truths), truths, w),
        metrics.relative_mae,
        VALUES,
        TRUE,
    ),
    (weighted.relative_rms, metrics.relative_rms, np.abs(VALUES[:, 0]), np.abs(TRUE[:, 0])),
]
NAMES = ["macro_f1", "mean_average_precision", "roc_auc", "relative_mae", "relative_rms"]


@pytest.mark.parametrize(("weigh", "plain", "answers", "truths"), CASES, ids=NAMES)
def test_a_whole_weight_is_a_sample_repeated_and_weight_zero_is_none(
    weigh: Weighing, plain: Callable[[Any, Any], float], answers: Any, truths: Any
) -> None:
    times = np.random.default_rng(4).integers(0, 4, (COUNT, 5))
    times[:, 0] = 1
    expected = [plain(np.repeat(answers, t, axis=0), np.repeat(truths, t, axis=0)) for t in times.T]
    found = weigh(answers, truths, times.astype(np.float64))
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("weigh", "plain", "answers", "truths"), CASES, ids=NAMES)
def test_only_how_weights_compare_counts_and_not_their_sum(
    weigh: Weighing, plain: Callable[[Any, Any], float], answers: Any, truths: Any
) -> None:
    weights = np.full((COUNT, 1), 0.3)
    assert weigh(answers, truths, weights) == pytest.approx([plain(answers, truths)], abs=1e-12)
