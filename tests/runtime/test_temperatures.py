"""A plan's temperatures: which logits they divide, alone, offline and in coalitions."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest

from mmedge.bundle import Bundle
from mmedge.manifest import Manifest, parse_manifest
from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.pipeline import Pipeline
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.temperatures import Temperatures
from mmedge.specs import Classification, Regression
from tests.fakes import linear_bundle

SIDE = Classification(labels=("left", "right"), temperature=2.0)
# Only the left logit moves: ant gives 2 x + 1 of its first sample, bee of its own.
WEIGHTS = {"side": np.float32([[[1, 0], [0, 0]], [[1, 0], [0, 0]]])}
TABLE = {"side": {"ant+bee": 4.0, "ant": 0.5}}


def logistic(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def with_temperatures(table: dict[str, dict[str, float]], task: Classification = SIDE) -> Bundle:
    bundle = linear_bundle(2, tasks={"side": task}, weights=WEIGHTS)
    plan = bundle.manifest.plans["fp32"].model_copy(update={"temperatures": table})
    manifest = bundle.manifest.model_copy(update={"plans": {"fp32": plan}})
    return Bundle.in_memory(parse_manifest(manifest.model_dump_json().encode()), bundle.files)


def sound(first: float) -> Any:
    return np.float32([first, 0])


# 2 x + 1 is 3 for ant and 5 for bee.
INPUTS = {"ant": sound(1), "bee": sound(2)}


@pytest.fixture
def warm() -> Any:
    with Predictor(with_temperatures(TABLE)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("present", "logit"),
    [(("ant", "bee"), 8 / 4), (("ant",), 3 / 0.5), (("bee",), 5 / 2)],  # bee has the task's own
)
def test_a_subset_has_its_temperature_or_the_tasks_own(
    warm: Predictor, present: tuple[str, ...], logit: float
) -> None:
    answer = warm.predict({name: INPUTS[name] for name in present}).tasks["side"]
    assert answer.scores["left"] == pytest.approx(logistic(logit))


def test_a_task_that_has_none_of_its_own_is_divided_as_well() -> None:
    plain = Classification(labels=("left", "right"))
    with Predictor(with_temperatures(TABLE, plain)) as predictor:
        scores = [predictor.predict({n: INPUTS[n]}).tasks["side"].scores for n in ("ant", "bee")]
    assert scores[0]["left"] == pytest.approx(logistic(3 / 0.5))
    assert scores[1]["left"] == pytest.approx(logistic(5))


def test_rows_of_a_batch_have_each_their_own(warm: Predictor) -> None:
    samples = [{"bee": sound(2)}, INPUTS, {}, {"ant": sound(1)}]
    for explain in (True, False):
        found = warm.predict_batch(samples, explain=explain)
        scores = [each.tasks["side"].scores["left"] for each in found if each.tasks]
        assert scores == pytest.approx([logistic(2.5), logistic(2.0), logistic(6.0)])


def test_contributions_are_of_what_each_coalition_would_answer_alone(warm: Predictor) -> None:
    both, ant, bee, nothing = logistic(2.0), logistic(6.0), logistic(2.5), 0.5
    given = warm.predict(INPUTS).tasks["side"].contributions
    assert given["ant"] == pytest.approx(((ant - nothing) + (both - bee)) / 2)
    assert given["bee"] == pytest.approx(((bee - nothing) + (both - ant)) / 2)
    assert sum(given.values()) == pytest.approx(both - nothing)


def test_without_temperatures_every_answer_is_the_same_to_the_bit() -> None:
    for empty in ({}, {"side": {}}):
        with Predictor(with_temperatures(empty)) as plain:
            answers = plain.predict(INPUTS).tasks["side"]
        left = np.exp(np.float64([8, 0]) / 2.0 - 4.0)
        assert answers.scores["left"] == (left / left.sum())[0]
    assert Temperatures(("ant", "bee"), {}).of("side", SIDE, np.ones((1, 2), bool)) is None


def test_only_classifications_are_divided() -> None:
    level = Regression(names=("level",), units=("m",))
    temperatures = Temperatures(("ant",), {"level": {"ant": 2.0}})
    assert temperatures.of("level", level, np.ones((1, 1), bool)) is None


def test_a_manifest_names_temperatures_only_of_what_it_has() -> None:
    with pytest.raises(ValueError, match=r"temperatures\.side: 'ant\+cow' are not modalities"):
        with_temperatures({"side": {"ant+cow": 1.0}})
    with pytest.raises(ValueError, match="greater than 0"):
        with_temperatures({"side": {"ant": 0.0}})


def test_a_manifest_without_temperatures_says_nothing_of_them() -> None:
    assert b"temperatures" not in linear_bundle(1).manifest.model_dump_json().encode()
    assert isinstance(with_temperatures(TABLE).manifest, Manifest)


def test_live_it_is_the_same() -> None:
    bundle = with_temperatures(TABLE)
    with Pipeline(bundle, sinks=[], config=LiveConfig(heartbeat_ms=50)) as pipeline:
        begin_ns = time.monotonic_ns() // 2_000_000 * 2_000_000 - 2_000_000
        pipeline.push("ant", np.full(2, 0.5, np.float32), begin_ns)
        tick = next(tick for tick in pipeline if tick.prediction.tasks)
    with Predictor(bundle) as predictor:
        offline = predictor.predict(ant=np.full(2, 0.5, np.float32)).tasks["side"]
    live = tick.prediction.tasks["side"]
    assert offline.scores["left"] == pytest.approx(logistic(2 / 0.5))
    assert live.scores == pytest.approx(offline.scores, rel=1e-3)
    assert live.contributions == pytest.approx(offline.contributions, abs=1e-3)
