"""The predictor, on the shipped model and on models whose numbers are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from mmedge.bundle import Bundle
from mmedge.errors import ArtefactError, ConfigError
from mmedge.manifest import FUSION
from mmedge.runtime.prediction import Prediction
from mmedge.runtime.predictor import Predictor
from tests.fakes import NAMES, encoder_graph, head_graph, linear_bundle, with_graph

Samples = Sequence[Mapping[str, Any]]
TINY = {"rel": 0, "abs": 1e-6}
FUSE, ANT = "graph 'fusion'", "graph 'ant'"


def sound(*values: float) -> Any:
    return np.float32(values)


def assert_same(a: Prediction, b: Prediction) -> None:
    assert a.presence == b.presence
    assert list(a.tasks) == list(b.tasks)
    for name, task in a.tasks.items():
        other = b.tasks[name]
        assert (task.label, task.labels) == (other.label, other.labels)
        assert task.scores == pytest.approx(other.scores, **TINY)
        assert task.contributions == pytest.approx(other.contributions, **TINY)
        assert task.conflict == pytest.approx(other.conflict, **TINY)


def with_gaps(samples: Samples) -> list[dict[str, Any]]:
    """Every golden sample, each with another modality missing, one with none at all."""
    drops = [(), ("camera",), ("mic",), ("hint",), ("camera", "mic"), ("camera", "mic", "hint")]
    return [
        {name: raw for name, raw in samples[i % len(samples)].items() if name not in drop}
        for i, drop in enumerate(drops)
    ]


def test_a_batch_answers_as_its_samples_one_by_one(predictor: Predictor, samples: Samples) -> None:
    for single, each in zip(samples, predictor.predict_batch(samples), strict=True):
        assert_same(each, predictor.predict(single))


def test_rows_of_one_batch_may_lack_different_modalities(
    predictor: Predictor, samples: Samples
) -> None:
    mixed = with_gaps(samples)
    together = predictor.predict_batch(mixed)
    assert [list(each.presence.values()) for each in together] == [
        [True, True, True],
        [False, True, True],
        [True, False, True],
        [True, True, False],
        [False, False, True],
        [False, False, False],
    ]
    for single, each in zip(mixed, together, strict=True):
        assert_same(each, predictor.predict(single))


def test_none_is_absent(predictor: Predictor, samples: Samples) -> None:
    named = predictor.predict(camera=samples[0]["camera"], mic=None)
    assert named.presence == {"camera": True, "mic": False, "hint": False}
    assert_same(named, predictor.predict({"camera": samples[0]["camera"]}))


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30])
def test_what_stands_in_an_absent_slot_changes_nothing(
    predictor: Predictor, samples: Samples, garbage: float
) -> None:
    presence = np.array([[True, False, True], [False, True, False]])
    embeddings = predictor.embed(list(samples[:2]))
    spoilt = {name: array.copy() for name, array in embeddings.items()}
    for name, row in (("mic", 0), ("camera", 1), ("hint", 1)):
        spoilt[name][row] = garbage
    spoilt["hint_mask"][1] = True
    clean, dirty = (predictor.decide(each, presence) for each in (embeddings, spoilt))
    assert [a.to_json() for a in clean] == [b.to_json() for b in dirty]


def test_contributions_sum_to_the_gain_over_nothing(predictor: Predictor, samples: Samples) -> None:
    for presence in np.array([[1, 1, 1], [1, 0, 1], [0, 1, 0]], dtype=bool):
        embeddings = predictor.embed(list(samples))
        rows = np.tile(presence, (len(samples), 1))
        logits = predictor.fuse(embeddings, np.zeros_like(rows))["digit"].astype(float)
        nothing = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        for given, empty in zip(predictor.decide(embeddings, rows), nothing, strict=True):
            task = given.tasks["digit"]
            best = int(np.argmax(list(task.scores.values())))
            gain = max(task.scores.values()) - empty[best]
            assert sum(task.contributions.values()) == pytest.approx(gain, abs=1e-4)


def test_an_absent_modality_contributes_exactly_nothing(
    predictor: Predictor, samples: Samples
) -> None:
    for each in predictor.predict_batch(with_gaps(samples) * 3):
        for task in each.tasks.values():
            absent = [task.contributions[name] for name, here in each.presence.items() if not here]
            assert absent == [0.0] * len(absent)
            assert any(task.contributions.values())


@pytest.mark.parametrize("modalities", [1, 2, 3, 4, 5, 6])
def test_of_a_linear_head_everyone_contributes_their_own_part(
    modalities: int, counting: Any
) -> None:
    steps = np.arange(1, modalities + 1)
    weights = {"level": np.float32([[[step], [0]] for step in steps])}
    with Predictor(linear_bundle(modalities, weights=weights), backend="counting") as predictor:
        # Embeddings are 2 s + 1, here 2 each: bee alone gives 2 * 2.
        raw = {name: sound(0.5, 0) for name in NAMES[:modalities]}
        task = predictor.predict(raw).tasks["level"]
    assert task.scores == {"level": 2.0 * steps.sum()}
    assert list(task.contributions) == list(NAMES[:modalities])
    assert list(task.contributions.values()) == pytest.approx(list(2.0 * steps))
    asked = {1: 2, 2: 4, 3: 8, 4: 16, 5: 11, 6: 13}
    assert counting.runs[-1] == (FUSE, asked[modalities])


def test_with_five_modalities_two_absent_ones_still_contribute_nothing() -> None:
    with Predictor(linear_bundle(5)) as predictor:
        raw = {name: sound(0.5, 0.25) for name in ("ant", "cat", "dog")}
        given = predictor.predict(raw).tasks["level"].contributions
    assert (given["bee"], given["elk"]) == (0.0, 0.0)
    assert all(given[name] for name in raw)


def test_with_nothing_present_no_head_is_asked(counting: Any) -> None:
    with Predictor(linear_bundle(2), backend="counting") as predictor:
        answers = [*predictor.predict_batch([{}, {"ant": None}]), predictor.predict()]
    assert counting.runs == []
    assert [each.nothing_present for each in answers] == [True, True, True]
    assert [each.tasks for each in answers] == [{}, {}, {}]
    assert answers[0].presence == {"ant": False, "bee": False}


def test_only_what_is_there_is_asked_for(counting: Any) -> None:
    with Predictor(linear_bundle(2), backend="counting") as predictor:
        answers = predictor.predict_batch([{"ant": sound(1, 1)}, {}, {"ant": sound(0, 0)}])
    assert counting.runs == [(ANT, 2), (FUSE, 8)]
    assert [each.nothing_present for each in answers] == [False, True, False]
    assert answers[1].tasks == {}


def test_without_explanations_the_head_sees_one_row_each(counting: Any) -> None:
    with Predictor(linear_bundle(2), backend="counting") as predictor:
        samples = [{"ant": sound(1, 1)}, {"bee": sound(1, 1)}]
        plain = predictor.predict_batch(samples, explain=False)
        explained = predictor.predict_batch(samples)
    assert (FUSE, 2) in counting.runs
    for a, b in zip(plain, explained, strict=True):
        assert a.tasks["level"].contributions == {}
        assert a.tasks["level"].scores == pytest.approx(b.tasks["level"].scores, **TINY)


def test_no_samples_give_no_predictions(counting: Any) -> None:
    with Predictor(linear_bundle(1), backend="counting") as predictor:
        assert predictor.predict_batch([]) == []
    assert counting.runs == []


def test_absent_slots_are_embedded_as_zeros() -> None:
    with Predictor(linear_bundle(2)) as predictor:
        made = predictor.embed([{"ant": sound(1, 0)}, {"bee": sound(0, 1)}])
    assert made["ant"].tolist() == [[3, 1], [0, 0]]
    assert made["bee"].tolist() == [[0, 0], [1, 3]]


def test_an_unknown_modality_is_refused(predictor: Predictor, samples: Samples) -> None:
    with pytest.raises(ConfigError, match="no modality 'sonar'; it has camera, mic, hint"):
        predictor.predict({**samples[0], "sonar": None})


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("camera", np.zeros((32, 32, 3), np.float32)),
        ("camera", np.zeros((32, 32), np.uint8)),
        ("mic", np.zeros(8000, np.int16)),
        ("mic", np.zeros(8000, np.float64)),
        ("mic", np.full(8000, np.nan, np.float32)),
        ("hint", b"even"),
        ("hint", 7),
    ],
)
def test_an_input_of_another_kind_is_refused_by_its_name(
    predictor: Predictor, name: str, raw: Any
) -> None:
    with pytest.raises(ConfigError, match=name):
        predictor.predict({name: raw})


def test_a_plan_that_is_not_there_is_named_with_those_that_are(demo: Bundle) -> None:
    with pytest.raises(ConfigError, match="the bundle has no plan 'int8'; it has fp32"):
        Predictor(demo, plan="int8")


def test_a_backend_that_is_not_there_is_named_with_those_that_are(demo: Bundle) -> None:
    with pytest.raises(ConfigError, match="there is no backend 'npu'; choose one of cpu"):
        Predictor(demo, backend="npu")


def test_a_graph_that_is_none_is_refused_though_its_hash_is_right() -> None:
    for model in (b"no graph", b"", bytes(64), encoder_graph()[:-9]):
        with pytest.raises(ArtefactError, match="graph 'bee' is not an ONNX file"):
            Predictor(with_graph(linear_bundle(2), "bee", model))


def test_a_graph_with_other_inputs_than_the_manifest_says_is_refused() -> None:
    swapped = head_graph(("bee", "ant", "cat"), {"level": np.zeros((3, 2, 1), np.float32)})
    for name, model in ((FUSION, swapped), ("ant", swapped), (FUSION, encoder_graph())):
        with pytest.raises(ArtefactError, match=f"graph '{name}' has other inputs or outputs"):
            Predictor(with_graph(linear_bundle(2), name, model))


def test_what_was_opened_is_closed_when_a_later_graph_fails(counting: Any) -> None:
    with pytest.raises(ArtefactError):
        Predictor(with_graph(linear_bundle(2), FUSION, b"no graph"), backend="counting")
    assert sorted(counting.closed) == [ANT, "graph 'bee'"]


def test_leaving_the_with_closes_every_graph_once(counting: Any) -> None:
    with Predictor(linear_bundle(1), backend="counting") as predictor:
        assert counting.closed == []
    predictor.close()
    assert sorted(counting.closed) == [ANT, FUSE]


def test_the_kind_of_arithmetic_is_the_backends(predictor: Predictor) -> None:
    assert predictor.kind == "cpu"
    assert predictor.manifest is predictor.bundle.manifest
