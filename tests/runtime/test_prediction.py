from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmedge.runtime.prediction import (
    Prediction,
    TaskPrediction,
    read_task,
    task_names,
    task_scores,
    winner,
)
from mmedge.specs import Classification, MultiLabel, Regression

ABC = Classification(labels=("a", "b", "c"))
TAGS = MultiLabel(labels=("a", "b", "c"))
SIZE = Regression(names=("width", "height"), units=("m", "m"), scale=2.0, offset=-1.0)


def test_logits_become_probabilities() -> None:
    scores = task_scores(ABC, np.log(np.float32([[1, 2, 5]])))
    assert scores[0] == pytest.approx([0.125, 0.25, 0.625])
    assert scores.dtype == np.float64


def test_temperature_divides_the_logits() -> None:
    cool = Classification(labels=("a", "b"), temperature=2.0)
    assert task_scores(cool, np.float32([2 * np.log(3), 0])) == pytest.approx([0.75, 0.25])


@pytest.mark.parametrize("logits", [[1e4, 0, -1e4], [1e4, 9999, 9998], [-1e4, -1e4, -1e4]])
def test_a_softmax_of_huge_logits_stays_finite(logits: list[float]) -> None:
    scores = task_scores(ABC, np.float32(logits))
    assert np.isfinite(scores).all()
    assert scores.sum() == pytest.approx(1)
    assert scores.argmax() == 0


def test_a_difference_of_logits_counts_and_not_their_height() -> None:
    low, high = (task_scores(ABC, np.float32([0, 1, 2]) + by) for by in (0, 1e4))
    assert low == pytest.approx(high, abs=1e-3)


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3))
@settings(database=None, deadline=None)
def test_probabilities_sum_to_one_and_keep_the_order(logits: list[float]) -> None:
    scores = task_scores(ABC, np.float32(logits))
    assert scores.sum() == pytest.approx(1)
    order = np.argsort(logits)
    assert (np.diff(scores[order]) >= 0).all()


def test_multi_label_scores_are_logistic_and_do_not_overflow() -> None:
    scores = task_scores(TAGS, np.float32([0, 1e4, -1e4]))
    assert scores.tolist() == [0.5, 1.0, 0.0]
    assert task_scores(TAGS, np.float32([np.log(3)]))[0] == pytest.approx(0.75)


def test_a_regression_is_scaled_into_its_unit() -> None:
    assert task_scores(SIZE, np.float32([[3, 0.5]])).tolist() == [[5.0, 0.0]]


def test_batches_of_any_shape_are_scored_by_their_last_axis() -> None:
    outputs = np.zeros((2, 5, 3), np.float32)
    assert task_scores(ABC, outputs).shape == (2, 5, 3)
    assert np.allclose(task_scores(ABC, outputs), 1 / 3)


def test_the_most_probable_label_is_given() -> None:
    read = read_task(ABC, np.array([0.2, 0.5, 0.3]), {"mic": 0.5}, 0.25)
    assert read.label == "b"
    assert read.scores == {"a": 0.2, "b": 0.5, "c": 0.3}
    assert (read.labels, read.contributions, read.conflict) == ((), {"mic": 0.5}, 0.25)


@pytest.mark.parametrize(
    ("threshold", "label"), [(0.0, "b"), (0.5, "b"), (0.51, None), (1.0, None)]
)
def test_below_the_threshold_no_label_is_given(threshold: float, label: str | None) -> None:
    task = Classification(labels=("a", "b"), threshold=threshold)
    assert read_task(task, np.array([0.25, 0.5]), {}, 0.0).label == label


@pytest.mark.parametrize(
    ("thresholds", "labels"),
    [
        ((0.5,), ("b", "c")),
        ((0.0,), ("a", "b", "c")),
        ((1.0,), ()),
        ((0.25, 0.75, 0.9), ("a", "c")),
    ],
)
def test_multi_label_gives_what_reaches_its_own_threshold(
    thresholds: tuple[float, ...], labels: tuple[str, ...]
) -> None:
    task = MultiLabel(labels=("a", "b", "c"), thresholds=thresholds)
    read = read_task(task, np.array([0.25, 0.5, 0.9375]), {}, 0.0)
    assert read.labels == labels
    assert read.label is None


def test_a_regression_gives_values_and_no_label() -> None:
    read = read_task(SIZE, np.array([5.0, 0.0]), {}, 0.0)
    assert read.scores == {"width": 5.0, "height": 0.0}
    assert (read.label, read.labels) == (None, ())
    assert task_names(SIZE) == ("width", "height")


def test_the_score_of_the_full_set_is_explained() -> None:
    scores = np.array([[0.2, 0.7, 0.1], [0.9, 0.05, 0.05]])
    assert winner(ABC, scores) == 1
    assert winner(TAGS, scores) == 1


def test_of_a_regression_the_quantity_that_moves_is_explained() -> None:
    assert winner(SIZE, np.array([[1.0, 100.0], [5.0, 100.0]])) == 0


def test_a_prediction_is_written_with_six_digits() -> None:
    task = TaskPrediction(
        scores={"a": 1 / 3}, label="a", contributions={"mic": 2 / 3}, conflict=1 / 7
    )
    prediction = Prediction(tasks={"digit": task}, presence={"mic": True, "camera": False})
    assert json.loads(json.dumps(prediction.to_json(), allow_nan=False)) == {
        "tasks": {
            "digit": {
                "label": "a",
                "labels": [],
                "scores": {"a": 0.333333},
                "contributions": {"mic": 0.666667},
                "conflict": 0.142857,
            }
        },
        "presence": {"mic": True, "camera": False},
    }


def test_nothing_present_is_known_by_presence() -> None:
    assert Prediction(tasks={}, presence={"a": False, "b": False}).nothing_present
    assert not Prediction(tasks={}, presence={"a": False, "b": True}).nothing_present
