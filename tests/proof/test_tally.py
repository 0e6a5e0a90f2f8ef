from __future__ import annotations

import numpy as np
import pytest

from mmedge.proof.tally import ClassMetrics, Tally
from mmedge.specs import Classification, Matching, MultiLabel, Regression

SIDE = Classification(labels=("left", "right", "ahead"), temperature=2.0)


def test_a_label_that_is_never_answered_has_no_precision_and_one_never_true_no_recall() -> None:
    tally = Tally(SIDE)
    tally.add(np.eye(3)[[0, 0, 2]], np.array([0, 1, 1]))
    assert tally.classes() == {
        "left": ClassMetrics(samples=1, precision=0.5, recall=1.0, f1=0.666667),
        "right": ClassMetrics(samples=2, precision=None, recall=0.0, f1=0.0),
        "ahead": ClassMetrics(samples=0, precision=0.0, recall=None, f1=0.0),
    }
    found = tally.metrics()
    assert found["macro_precision"] == pytest.approx(0.5 / 3)
    assert found["macro_recall"] == pytest.approx(1 / 3)
    assert found["macro_f1"] == pytest.approx(2 / 9)


def test_samples_may_come_in_parts() -> None:
    tally = Tally(SIDE)
    for answer, truth in ((0, 0), (1, 1), (2, 1)):
        tally.add(np.eye(3)[[answer]], np.array([truth]))
    assert len(tally) == 3
    assert tally.metrics()["accuracy"] == pytest.approx(2 / 3)


def test_how_sure_an_answer_is_depends_on_the_temperature_and_what_it_is_does_not() -> None:
    logits, truths = np.tile([4.0, 0.0, -1e9], (10, 1)), np.zeros(10, int)
    own, hot = Tally(SIDE), Tally(SIDE)
    own.add(logits, truths)
    hot.add(logits, truths, np.full((10, 1), 4.0))
    assert own.metrics()["accuracy"] == hot.metrics()["accuracy"] == 1.0
    # Right every time, and sure by the logistic of 4 / 2, and of 4 / 4.
    assert own.metrics()["calibration_error"] == pytest.approx(1 - 1 / (1 + np.exp(-2)))
    assert hot.metrics()["calibration_error"] == pytest.approx(1 - 1 / (1 + np.exp(-1)))


def test_labels_hold_at_their_thresholds() -> None:
    tags = MultiLabel(labels=("low", "high"), thresholds=(0.9, 0.1))
    tally = Tally(tags)
    tally.add(np.zeros((2, 2)), np.array([[True, True], [False, True]]))  # 0.5 each
    assert tally.classes() == {
        "low": ClassMetrics(samples=1, precision=None, recall=0.0, f1=0.0),
        "high": ClassMetrics(samples=2, precision=1.0, recall=1.0, f1=1.0),
    }
    # All four are sure of 0.5, and three hold.
    assert tally.metrics()["calibration_error"] == pytest.approx(0.25)


def test_a_match_is_a_label_too_and_a_number_is_none() -> None:
    fits = Tally(Matching(between=("ant", "bee")))
    fits.add(np.float32([[3], [-3], [3]]), np.array([True, True, False]))
    assert fits.classes() == {"match": ClassMetrics(samples=2, precision=0.5, recall=0.5, f1=0.5)}
    level = Tally(Regression(names=("level",), units=("m",)))
    level.add(np.float32([[1], [2]]), np.array([[1.0], [3.0]]))
    assert level.classes() == {}
    assert level.metrics() == {"relative_mae": 0.5}


def test_many_labels_without_any_truth_tell_only_how_sure_they_are() -> None:
    tally = Tally(MultiLabel(labels=("low", "high")))
    tally.add(np.full((2, 2), -4.0), np.zeros((2, 2), bool))
    assert set(tally.metrics()) == {"calibration_error"}
