"""What a prediction says of each kind of task, through graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmedge.errors import ProofError
from mmedge.proof import verify
from mmedge.proof.trust import load_golden
from mmedge.runtime.prediction import TaskPrediction
from mmedge.runtime.predictor import Predictor
from mmedge.specs import Classification, MultiLabel, Raw, Regression, Task
from tests.fakes import SIDE, head_graph, linear_bundle, with_graph


def loud(value: float = 0.5) -> Any:
    """A window whose embedding is (2 value + 1, 1)."""
    return np.float32([value, 0.0])


def answer(task: Task, weights: Any, raw: dict[str, Any]) -> TaskPrediction:
    bundle = linear_bundle(len(weights), tasks={"it": task}, weights={"it": np.float32(weights)})
    with Predictor(bundle) as predictor:
        return predictor.predict(raw).tasks["it"]


FIRM, WEAK = [[5, -5], [0, 0]], [[0.1, -0.1], [0, 0]]
FIRM_AGAINST = [[-5, 5], [0, 0]]


def test_two_that_are_sure_of_different_labels_are_in_conflict() -> None:
    task = answer(SIDE, [FIRM, FIRM_AGAINST], {"ant": loud(), "bee": loud()})
    assert task.conflict == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("weights", [[FIRM, FIRM], [FIRM, WEAK], [WEAK, WEAK]])
def test_where_all_prefer_the_same_label_there_is_no_conflict(weights: Any) -> None:
    assert answer(SIDE, weights, {"ant": loud(), "bee": loud()}).conflict == 0.0


def test_one_that_is_hardly_sure_makes_a_small_conflict() -> None:
    task = answer(SIDE, [WEAK, FIRM_AGAINST], {"ant": loud(), "bee": loud()})
    # ant alone: logits 0.2 and -0.2, a margin of tanh(0.2).
    assert task.conflict == pytest.approx(0.197375, abs=1e-6)


def test_who_is_absent_contradicts_nobody() -> None:
    assert answer(SIDE, [FIRM, FIRM_AGAINST], {"ant": loud()}).conflict == 0.0
    # Nor does the answer to nothing at all, which is what the absent one alone would give.
    weights = {"it": np.float32([[[10, -10], [0, 0]], FIRM])}
    head = head_graph(("ant", "bee"), weights, bias=(-5.0, 5.0))
    bundle = linear_bundle(2, tasks={"it": SIDE}, weights=weights)
    with Predictor(with_graph(bundle, "fusion", head)) as predictor:
        task = predictor.predict(ant=loud()).tasks["it"]
    assert (task.label, task.conflict) == ("left", 0.0)


def test_five_modalities_can_be_in_conflict_too() -> None:
    weights = [FIRM, FIRM, FIRM, FIRM, FIRM_AGAINST]
    raw = dict.fromkeys(("ant", "bee", "cat", "dog", "elk"), loud())
    assert answer(SIDE, weights, raw).conflict == pytest.approx(1.0, abs=1e-3)


def test_below_its_threshold_a_label_is_withheld_but_its_scores_are_not() -> None:
    task = Classification(labels=("left", "right"), threshold=0.99)
    assert answer(task, [WEAK], {"ant": loud()}).label is None
    sure = answer(task, [FIRM], {"ant": loud()})
    assert sure.label == "left"
    assert sure.scores["left"] > 0.99


def test_logits_of_ten_thousand_give_sound_probabilities() -> None:
    task = answer(SIDE, [[[5000, -5000], [0, 0]]], {"ant": loud()})
    assert task.scores == {"left": 1.0, "right": 0.0}


def test_multi_label_holds_each_label_to_its_threshold() -> None:
    task = MultiLabel(labels=("a", "b", "c"), thresholds=(0.5, 0.9, 0.4))
    found = answer(task, [[[1, 1, -1], [0, 0, 0]]], {"ant": loud()})
    # Logits 2, 2 and -2: the logistic of 2 is 0.8808.
    assert found.labels == ("a",)
    assert found.scores == pytest.approx({"a": 0.880797, "b": 0.880797, "c": 0.119203}, abs=1e-6)
    assert found.conflict == 0.0


def test_a_regression_answers_in_its_unit_and_so_do_its_contributions() -> None:
    task = Regression(names=("height",), units=("cm",), scale=100.0, offset=20.0)
    raw = {"ant": loud(), "bee": loud(1.0)}
    found = answer(task, [[[1], [0]], [[2], [0]]], raw)
    assert found.scores == pytest.approx({"height": 100 * (2 * 1 + 3 * 2) + 20})
    assert found.contributions == pytest.approx({"ant": 200.0, "bee": 600.0})


def test_of_two_quantities_the_one_that_moves_most_is_explained() -> None:
    task = Regression(names=("still", "moving"), units=("m", "m"))
    found = answer(task, [[[0.25, 3], [0, 0]]], {"ant": loud()})
    assert found.scores == {"still": 0.5, "moving": 6.0}
    assert found.contributions == {"ant": 6.0}


def test_several_tasks_are_answered_at_once() -> None:
    tasks: dict[str, Task] = {"side": SIDE, "level": Regression(names=("x",), units=("m",))}
    weights = {"side": np.float32([FIRM]), "level": np.float32([[[1], [1]]])}
    with Predictor(linear_bundle(1, tasks=tasks, weights=weights)) as predictor:
        found = predictor.predict(ant=loud()).tasks
    assert list(found) == ["side", "level"]
    assert found["side"].label == "left"
    assert found["level"].scores == {"x": 3.0}


GRID = Raw(shape=(2, 3), axes=("row", "column"))
GRID_WEIGHTS = np.float32([[[1, 2, 3, 4, 5, 6], [0] * 6], [[10] * 6, [0] * 6]])


def test_a_raw_task_gives_its_tensor_and_invents_nothing() -> None:
    found = answer(GRID, GRID_WEIGHTS, {"ant": loud(), "bee": loud(0.0)})
    assert found.tensor is not None
    assert found.tensor.dtype == np.float32
    assert found.tensor.tolist() == [[12, 14, 16], [18, 20, 22]]
    assert (found.label, found.labels, found.scores, found.contributions) == (None, (), {}, {})
    assert found.to_json() == {
        "shape": [2, 3],
        "tensor": [[12.0, 14.0, 16.0], [18.0, 20.0, 22.0]],
    }


def test_absent_modalities_count_for_a_raw_task_too() -> None:
    found = answer(GRID, GRID_WEIGHTS, {"bee": loud(0.0)}).tensor
    assert found is not None
    assert found.tolist() == [[10] * 3] * 2


@pytest.mark.parametrize("modalities", [1, 3, 5])
def test_beside_a_task_with_contributions_each_sample_keeps_its_own_tensor(modalities: int) -> None:
    """More rows than go into one call of the head: some calls begin amid a sample's rows."""
    tasks: dict[str, Task] = {"side": SIDE, "grid": GRID}
    weights = {
        "side": np.float32([FIRM] * modalities),
        "grid": np.float32([GRID_WEIGHTS[0]] * modalities),
    }
    names = ("ant", "bee", "cat", "dog", "elk")[:modalities]
    samples = [dict.fromkeys(names, loud(number / 2)) for number in range(40)]
    with Predictor(linear_bundle(modalities, tasks=tasks, weights=weights)) as predictor:
        found = [each.tasks for each in predictor.predict_batch(samples)]
        plain = [each.tasks for each in predictor.predict_batch(samples, explain=False)]
    for number, (explained, quick) in enumerate(zip(found, plain, strict=True)):
        assert list(explained) == ["side", "grid"]
        assert explained["side"].contributions
        assert explained["grid"].tensor is not None
        level = modalities * (number + 1)
        assert explained["grid"].tensor.tolist() == [
            [level, 2 * level, 3 * level],
            [4 * level, 5 * level, 6 * level],
        ]
        assert explained["grid"] == quick["grid"]


def test_a_model_with_raw_tasks_only_asks_the_head_once_per_sample(counting: Any) -> None:
    bundle = linear_bundle(2, tasks={"grid": GRID}, weights={"grid": GRID_WEIGHTS})
    with Predictor(bundle, backend="counting") as predictor:
        predictor.predict(ant=loud(), bee=loud())
    assert counting.runs[-1] == ("graph 'fusion'", 1)


def test_answers_with_other_tensors_are_other_answers() -> None:
    one = answer(GRID, GRID_WEIGHTS, {"ant": loud()})
    assert one == answer(GRID, GRID_WEIGHTS, {"ant": loud()})
    assert one != answer(GRID, GRID_WEIGHTS, {"ant": loud(0.6)})
    assert one != TaskPrediction(scores={}, contributions={})
    assert one != "another thing"


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_raw_task_that_is_not_finite_is_refused(wrong: float) -> None:
    bundle = linear_bundle(1, tasks={"grid": GRID}, weights={"grid": GRID_WEIGHTS[:1]})
    head = head_graph(
        ("ant",), {"grid": GRID_WEIGHTS[:1]}, bias=(0, 0, 0, wrong, 0, 0), shapes={"grid": (2, 3)}
    )
    with (
        Predictor(with_graph(bundle, "fusion", head)) as predictor,
        pytest.raises(ProofError, match="answers task 'grid' with NaN or infinity"),
    ):
        predictor.predict(ant=loud())


def test_a_raw_task_is_verified_for_every_subset() -> None:
    bundle = linear_bundle(2, tasks={"grid": GRID, "side": SIDE})
    parity = verify(bundle)
    assert parity.passed
    subsets = {each.subset for each in parity.findings if each.point == "fusion/grid"}
    assert subsets == {"ant+bee", "ant", "bee", "nothing"}
    wrong = load_golden(bundle)
    wrong.outputs["grid"][3, 1, 1, 2] += 0.01  # type: ignore[index]
    failure = verify(bundle, golden=wrong).first_failure
    assert failure is not None
    assert (failure.point, failure.subset, failure.sample) == ("fusion/grid", "nothing", 1)
