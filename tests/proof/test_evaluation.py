from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mmedge.errors import ConfigError, ProofError
from mmedge.proof.evaluation import SubsetMetrics, evaluate
from mmedge.runtime.predictor import Predictor
from mmedge.specs import Classification, Matching, MultiLabel, Raw, Regression, Task
from tests.fakes import SIDE, head_graph, linear_bundle, with_graph

# What stands first in a window decides: ant hears left where it is positive, bee right.
WEIGHTS = {"side": np.float32([[[1, -1], [0, 0]], [[-0.5, 0.5], [0, 0]]])}


def sound(first: float) -> Any:
    return np.float32([first, 0.0])


@pytest.fixture(scope="module")
def sides() -> Iterator[Predictor]:
    with Predictor(linear_bundle(2, tasks={"side": SIDE}, weights=WEIGHTS)) as opened:
        yield opened


def table(rows: list[SubsetMetrics]) -> dict[str, tuple[int, int]]:
    """Subset -> samples answered rightly, and samples."""
    return {
        row.present: (round(row.metrics["accuracy"] * row.samples), row.samples) for row in rows
    }


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
    assert [row.metrics["accuracy"] for row in rows] == [1.0, 0.75, 2 / 3]
    # Bee answers right three times: F1 is 2 * 2 / (3 + 2) for right and 0 for left.
    assert rows[2].to_json() == {
        "task": "side",
        "present": "bee",
        "samples": 3,
        "metrics": {
            "accuracy": 0.666667,
            "macro_f1": 0.4,
            "macro_precision": 0.333333,  # right: 2 of 3; left is never answered
            "macro_recall": 0.5,
            # As sure as the logistic of 3, 2 and 3, which is 0.928648 on average.
            "calibration_error": 0.261982,
        },
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


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([], "there is no clip in the data"),
        (
            [({"ant": sound(1)}, {"other": "left"})],
            r"no sample has a label for any of the tasks \['side'\]",
        ),
    ],
)
def test_no_labelled_sample_is_an_error_and_not_an_empty_table(
    sides: Predictor, samples: list[Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate(sides, samples)


@pytest.mark.parametrize(
    ("raws", "message"),
    [
        ({"cow": sound(1)}, "the model has no modality 'cow'; it has ant, bee"),
        ({"ant": "moo"}, "sample 2: "),
    ],
)
def test_an_input_that_cannot_be_is_refused_and_not_left_out(
    sides: Predictor, raws: dict[str, Any], message: str
) -> None:
    fine = ({"ant": sound(1)}, {"side": "left"})
    with pytest.raises(ConfigError, match=message):
        evaluate(sides, [fine, (raws, {"side": "left"}), *[fine] * 40])


EVERYTHING: dict[str, Task] = {
    "side": SIDE,
    "tags": MultiLabel(labels=("low", "high")),
    "fits": Matching(between=("ant", "bee"), threshold=0.9),
    "level": Regression(names=("level",), units=("m",), scale=10.0),
    "grid": Raw(shape=(2, 2)),
}
FIRST_OF_ANT = {
    "side": [1, -1],
    "tags": [-1, 1],
    "fits": [1],
    "level": [1],
    "grid": [1, 0, 0, 1],
}


def without_error(metrics: dict[str, float]) -> dict[str, float]:
    """Without how sure the answers were, which `test_tally` has by hand."""
    assert 0 <= metrics["calibration_error"] <= 1
    return {name: value for name, value in metrics.items() if name != "calibration_error"}


def test_several_tasks_are_judged_at_once_each_by_its_own_metrics() -> None:
    """Ant's first value x stands in the embedding as 2 x + 1; bee is not listened to."""
    weights = {
        task: np.float32([[row, [0] * len(row)], [[0] * len(row)] * 2])
        for task, row in FIRST_OF_ANT.items()
    }
    labels = [
        (0.0, ["high"], True, 10.0, [[1, 0], [0, 1]]),  # embedding 1
        (1.0, ["high"], True, 30.0, [[3, 0], [0, 3]]),  # embedding 3
        (-1.0, ["low", "high"], False, -20.0, [[-1, 0], [0, 0]]),  # embedding -1
        (2.0, [], False, None, None),  # embedding 5
    ]
    samples = []
    for first, tags, fits, level, grid in labels:
        row = {"side": "left", "tags": tags, "fits": fits, "level": level, "grid": grid}
        known = {task: label for task, label in row.items() if label is not None}
        samples.append(({"ant": sound(first), "bee": sound(0)}, known))
    with Predictor(linear_bundle(2, tasks=EVERYTHING, weights=weights)) as predictor:
        rows = evaluate(predictor, samples)
    found = {row.task: row for row in rows if row.present == "ant+bee"}
    assert {name: row.samples for name, row in found.items()} == {
        "side": 4,
        "tags": 4,
        "fits": 4,
        "level": 3,
        "grid": 3,
    }
    metrics = {name: row.metrics for name, row in found.items()}
    # Left is right three times of four; class left 6 / 7, class right never true: 0.
    side = {"accuracy": 0.75, "macro_f1": 3 / 7, "macro_precision": 0.5, "macro_recall": 0.375}
    assert without_error(metrics["side"]) == pytest.approx(side)
    # Low scores highest where it holds: 1. High comes second to fourth: 1 / 2, 2 / 3, 3 / 4.
    mean = (1 + (1 / 2 + 2 / 3 + 3 / 4) / 3) / 2
    # Low holds, and is answered, for -1. High is answered for 1, 3 and 5, and holds for 1, 3, -1.
    assert without_error(metrics["tags"]) == pytest.approx(
        {
            "mean_average_precision": mean,
            "macro_f1": 5 / 6,
            "macro_precision": 5 / 6,
            "macro_recall": 5 / 6,
        }
    )
    # From 0.9, logit 2.2, are 3 (right) and 5 (wrong); not 1 (wrong) and -1 (right).
    # Of the pairs of a match and none, 1 and 3 win over -1 and lose to 5.
    fits = {"accuracy": 0.5, "roc_auc": 0.5, "f1": 0.5, "precision": 0.5, "recall": 0.5}
    assert without_error(metrics["fits"]) == pytest.approx(fits)
    # Answers 10, 30 and -10: one error of 10; the truths are 10 / 3, 70 / 3, 80 / 3 off their mean.
    assert metrics["level"] == pytest.approx({"relative_mae": (10 / 3) / (160 / 9)})
    # One number is off by 1; the references' squares sum to 1 + 1 + 9 + 9 + 1.
    assert metrics["grid"] == pytest.approx({"relative_rms": (1 / 21) ** 0.5})


def test_what_the_samples_cannot_tell_is_left_out() -> None:
    fits = {"fits": EVERYTHING["fits"]}
    with Predictor(linear_bundle(2, tasks=fits)) as predictor:
        both = {"ant": sound(1), "bee": sound(1)}
        (row, *_) = evaluate(predictor, [(both, {"fits": True}), (both, {"fits": True})])
    assert "roc_auc" not in row.metrics
    assert "accuracy" in row.metrics


def test_an_answer_that_is_no_number_is_not_counted_as_wrong_but_refused() -> None:
    bundle = linear_bundle(1, tasks={"side": SIDE}, weights={"side": WEIGHTS["side"][:1]})
    head = head_graph(("ant",), {"side": WEIGHTS["side"][:1]}, bias=(np.nan, 0.0))
    with (
        Predictor(with_graph(bundle, "fusion", head)) as predictor,
        pytest.raises(ProofError, match="answers task 'side' with NaN"),
    ):
        evaluate(predictor, [({"ant": sound(1)}, {"side": "left"})])
