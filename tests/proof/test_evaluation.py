from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mmedge.errors import ConfigError
from mmedge.proof.evaluation import SubsetAccuracy, evaluate
from mmedge.runtime.predictor import Predictor
from mmedge.specs import Classification
from tests.fakes import SIDE, linear_bundle

# What stands first in a window decides: ant hears left where it is positive, bee right.
WEIGHTS = {"side": np.float32([[[1, -1], [0, 0]], [[-0.5, 0.5], [0, 0]]])}


def sound(first: float) -> Any:
    return np.float32([first, 0.0])


@pytest.fixture(scope="module")
def sides() -> Iterator[Predictor]:
    with Predictor(linear_bundle(2, tasks={"side": SIDE}, weights=WEIGHTS)) as opened:
        yield opened


def table(rows: list[SubsetAccuracy]) -> dict[str, tuple[int, int]]:
    return {row.present: (row.correct, row.samples) for row in rows}


def test_every_subset_is_counted_on_the_samples_that_have_it(sides: Predictor) -> None:
    left, right = {"side": "left"}, {"side": "right"}
    rows = evaluate(
        sides,
        [
            ({"ant": sound(1), "bee": sound(1)}, left),  # ant is right, bee wrong, both: ant wins
            ({"ant": sound(-1), "bee": sound(0.5)}, right),  # all are right
            ({"ant": sound(1)}, left),
            ({"ant": sound(1), "bee": None}, right),
            ({"bee": sound(1)}, right),
        ],
    )
    assert [row.present for row in rows] == ["ant+bee", "ant", "bee"]
    assert table(rows) == {"ant+bee": (2, 2), "ant": (3, 4), "bee": (2, 3)}
    assert [row.accuracy for row in rows] == [1.0, 0.75, 2 / 3]
    assert rows[2].to_json() == {
        "task": "side",
        "present": "bee",
        "correct": 2,
        "samples": 3,
        "accuracy": 0.666667,
    }


def test_a_sample_without_a_label_is_not_counted(sides: Predictor) -> None:
    rows = evaluate(sides, [({"ant": sound(1)}, {}), ({"ant": sound(1)}, {"side": "left"})])
    assert table(rows) == {"ant": (1, 1)}


def test_more_samples_than_are_held_at_once_are_all_counted(sides: Predictor) -> None:
    samples = [({"ant": sound(1 if i % 3 else -1)}, {"side": "left"}) for i in range(130)]
    assert table(evaluate(sides, iter(samples))) == {"ant": (86, 130)}


def test_the_threshold_plays_no_part() -> None:
    task = Classification(labels=("left", "right"), threshold=1.0)
    bundle = linear_bundle(1, tasks={"side": task}, weights={"side": WEIGHTS["side"][:1]})
    with Predictor(bundle) as predictor:
        rows = evaluate(predictor, [({"ant": sound(0.1)}, {"side": "left"})])
    assert table(rows) == {"ant": (1, 1)}


def test_an_unknown_label_is_refused(sides: Predictor) -> None:
    with pytest.raises(ConfigError, match="label 'up' of task 'side' is none of left, right"):
        evaluate(sides, [({"ant": sound(1)}, {"side": "up"})])


@pytest.mark.parametrize("samples", [[], [({"ant": sound(1)}, {"other": "left"})]])
def test_no_labelled_sample_is_an_error_and_not_an_empty_table(
    sides: Predictor, samples: list[Any]
) -> None:
    with pytest.raises(ConfigError, match=r"no sample has a label for any of the tasks \['side'\]"):
        evaluate(sides, samples)


def test_a_model_without_a_classification_has_no_accuracy() -> None:
    with (
        Predictor(linear_bundle(1)) as predictor,
        pytest.raises(ConfigError, match="accuracy needs a classification task"),
    ):
        evaluate(predictor, [({"ant": sound(1)}, {"level": "left"})])
