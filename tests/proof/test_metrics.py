"""Metrics against values worked out by hand and against formulas that count differently."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmedge.proof.metrics import (
    accuracy,
    average_precision,
    expected_calibration_error,
    macro_f1,
    mean_average_precision,
    precision_recall_f1,
    recall_at_k,
    relative_mae,
    relative_rms,
    roc_auc,
)

# Few distinct scores, so that ties are common.
ranked = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=12)
classes = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12)


def columns(pairs: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    return tuple(np.array(each) for each in zip(*pairs, strict=True))  # type: ignore[return-value]


def test_accuracy_is_the_share_that_is_right() -> None:
    assert accuracy([0, 1, 2, 2], [0, 1, 1, 2]) == 0.75


def test_macro_f1_worked_by_hand() -> None:
    # Class 0: 2 right of 3 answered and 2 true: 4 / 5. Class 1: 1 of 1 and 2: 2 / 3.
    # Class 2: 1 of 1 and 1: 1. Class 3, never true nor answered, does not count.
    assert macro_f1([0, 0, 0, 1, 2], [0, 0, 1, 1, 2]) == pytest.approx((4 / 5 + 2 / 3 + 1) / 3)


def test_a_class_that_is_answered_but_never_true_counts_as_zero() -> None:
    assert macro_f1([0, 1], [0, 0]) == pytest.approx((2 / 3 + 0) / 2)


@given(classes)
@settings(database=None, deadline=None)
def test_macro_f1_is_the_mean_of_harmonic_means(pairs: list[tuple[int, int]]) -> None:
    each = []
    for label in {label for pair in pairs for label in pair}:
        hits = sum(pair == (label, label) for pair in pairs)
        given_, true = sum(a == label for a, _ in pairs), sum(t == label for _, t in pairs)
        precision = hits / given_ if given_ else 0.0
        recall = hits / true if true else 0.0
        each.append(2 * precision * recall / (precision + recall) if hits else 0.0)
    assert macro_f1(*columns(pairs)) == pytest.approx(sum(each) / len(each))


def test_average_precision_worked_by_hand() -> None:
    # Best first: right, wrong, right, wrong: precisions 1 / 1 and 2 / 3 at the two positives.
    assert average_precision([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0]) == pytest.approx((1 + 2 / 3) / 2)
    # scikit-learn's documentation of average_precision_score has this example: 0.83.
    assert average_precision([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == pytest.approx(0.8333, abs=1e-4)


def test_equal_scores_are_one_step_in_any_order() -> None:
    for truths in ([1, 0, 0], [0, 1, 0], [0, 0, 1]):
        assert average_precision([0.5, 0.5, 0.5], truths) == pytest.approx(1 / 3)


@given(ranked)
@settings(database=None, deadline=None)
def test_average_precision_is_the_mean_precision_at_each_positive(
    pairs: list[tuple[int, bool]],
) -> None:
    positives = [score for score, true in pairs if true]
    found = average_precision(*columns(pairs))
    if not positives:
        assert math.isnan(found)
        return
    at_each = []
    for score in positives:
        answered = [true for other, true in pairs if other >= score]
        at_each.append(sum(answered) / len(answered))
    assert found == pytest.approx(sum(at_each) / len(at_each))


def test_the_mean_over_labels_leaves_out_those_that_never_hold() -> None:
    scores = [[0.9, 0.1, 0.5], [0.8, 0.2, 0.5], [0.7, 0.3, 0.5]]
    truths = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 0]], bool)
    # First label: (1 + 2 / 3) / 2; second: its one positive comes last of three.
    assert mean_average_precision(scores, truths) == pytest.approx((5 / 6 + 1 / 3) / 2)


def test_the_area_under_the_curve_worked_by_hand() -> None:
    # Of 2 x 2 pairs 3 are in order (scikit-learn's documentation of roc_auc_score: 0.75).
    assert roc_auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == 0.75
    assert roc_auc([1, 2, 3], [False, True, True]) == 1.0
    assert roc_auc([1, 1, 1], [False, True, True]) == 0.5


@given(ranked)
@settings(database=None, deadline=None)
def test_the_area_is_the_share_of_pairs_in_order(pairs: list[tuple[int, bool]]) -> None:
    above = [score for score, true in pairs if true]
    below = [score for score, true in pairs if not true]
    found = roc_auc(*columns(pairs))
    if not above or not below:
        assert math.isnan(found)
        return
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(above, below)]
    assert found == pytest.approx(sum(wins) / len(wins))


def test_relative_mae_worked_by_hand() -> None:
    # Mean 3, of which 0, 2 and 4... are 2, 0 and 2 away: 4 / 3; the errors are 1, 0, 1: 2 / 3.
    assert relative_mae([[2.0], [3.0], [4.0]], [[1.0], [3.0], [5.0]]) == pytest.approx(0.5)


def test_always_answering_the_mean_has_a_relative_mae_of_one() -> None:
    truths = np.random.default_rng(0).normal(5, 3, (20, 2))
    assert relative_mae(np.tile(truths.mean(axis=0), (20, 1)), truths) == pytest.approx(1.0)


def test_relative_mae_has_no_unit_and_leaves_out_what_never_changes() -> None:
    random = np.random.default_rng(1)
    truths, answers = random.normal(size=(9, 1)), random.normal(size=(9, 1))
    both = relative_mae(np.hstack([answers, 1000 * answers]), np.hstack([truths, 1000 * truths]))
    assert both == pytest.approx(relative_mae(answers, truths))
    still = np.full((9, 1), 0.1)
    same = relative_mae(np.hstack([answers, still + 1]), np.hstack([truths, still]))
    assert same == pytest.approx(relative_mae(answers, truths))


def test_recall_at_k_worked_by_hand() -> None:
    similarities = [[0.9, 0.1, 0.5], [0.6, 0.3, 0.2], [0.3, 0.2, 0.1]]
    # Partners on the diagonal are first, second and third.
    assert [recall_at_k(similarities, [0, 1, 2], k) for k in (1, 2, 3)] == [1 / 3, 2 / 3, 1.0]
    assert recall_at_k(similarities, [0, 0, 0], 1) == 1.0


def test_where_all_is_alike_nothing_is_found() -> None:
    assert recall_at_k(np.ones((4, 10)), range(4), 1) == 0.0
    assert recall_at_k(np.ones((4, 10)), range(4), 10) == 1.0


def test_relative_rms_worked_by_hand() -> None:
    # |(0, 3)| over |(4, 3)|: 3 / 5.
    assert relative_rms([0.0, 3.0], [4.0, 3.0]) == pytest.approx(0.6)
    assert relative_rms(np.zeros((2, 2)), np.ones((2, 2))) == 0.0


def test_relative_rms_takes_norms_instead_of_tensors() -> None:
    random = np.random.default_rng(2)
    errors, references = random.normal(size=(2, 5, 3, 4))
    norms = [np.linalg.norm(each.reshape(5, -1), axis=1) for each in (errors, references)]
    direct = math.sqrt(sum(errors.ravel() ** 2) / sum(references.ravel() ** 2))
    assert relative_rms(*norms) == pytest.approx(direct)
    assert relative_rms(errors, references) == pytest.approx(direct)


@pytest.mark.parametrize(
    "value",
    [
        accuracy([], []),
        macro_f1([], []),
        average_precision([0.1, 0.2], [False, False]),
        average_precision([], []),
        mean_average_precision(np.zeros((2, 3)), np.zeros((2, 3), bool)),
        roc_auc([0.1, 0.2], [True, True]),
        roc_auc([], []),
        relative_mae(np.zeros((0, 1)), np.zeros((0, 1))),
        relative_mae([[1.0], [2.0], [3.0]], [[0.1], [0.1], [0.1]]),
        recall_at_k(np.zeros((0, 3)), [], 1),
        relative_rms([1.0], [0.0]),
    ],
)
def test_what_the_truths_cannot_tell_is_not_a_number(value: float) -> None:
    assert math.isnan(value)


def test_calibration_error_is_the_distance_of_sureness_and_truth_in_bins_of_equal_size() -> None:
    # Two bins of ten: sure of 0.6 and right 8 times, sure of 0.9 and right 7 times.
    sure = [0.9, 0.6] * 10
    right = np.zeros(20, bool)
    right[0:14:2] = True  # seven of the surer ones
    right[1:17:2] = True  # eight of the others
    assert expected_calibration_error(sure, right) == pytest.approx((0.2 + 0.2) / 2)


def test_calibration_error_of_few_samples_is_that_of_their_mean() -> None:
    assert expected_calibration_error([0.5, 0.5], [True, False]) == 0
    assert np.isnan(expected_calibration_error([], []))


def test_precision_recall_and_f1_of_each_class() -> None:
    precision, recall, f1 = precision_recall_f1([2, 0, 0, 0], [4, 1, 0, 0], [3, 0, 2, 0])
    assert precision == pytest.approx([0.5, 0, np.nan, np.nan], nan_ok=True)
    assert recall == pytest.approx([2 / 3, np.nan, 0, np.nan], nan_ok=True)
    assert f1 == pytest.approx([4 / 7, 0, 0, np.nan], nan_ok=True)
