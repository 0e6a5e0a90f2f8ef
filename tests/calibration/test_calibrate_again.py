"""A bundle that is calibrated again, and plans that are no faster.

Latencies are made up, and there is no time to measure layers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmedge import open_bundle
from mmedge.calibration import CalibrateConfig, Calibration, calibrate, targeting
from mmedge.calibration.latency import Ratio
from mmedge.runtime.plans import choose_plan
from tests.calibration.pairs import write_pairs
from tests.calibration.test_calibrate import content


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "pairs.jsonl", 99)


class Clock:
    """Says how long graphs take beside float32's."""

    def __init__(self) -> None:
        self.encoders = {"camera": 0.5, "mic": 0.5, "hint": 0.5}
        self.fewer = self.encoders  # with fewer layers in INT8 than at first
        self.whole = 0.5
        self._layers: dict[str, int] = {}

    def of_encoder(self, name: str, layers: frozenset[str], *_: object) -> Ratio:
        all_of_it = self._layers.setdefault(name, len(layers)) <= len(layers)
        median = (self.encoders if all_of_it else self.fewer)[name]
        return Ratio(median=median, ms=median, reference_ms=1.0)

    def of_plan(self, *_: object) -> float:
        return self.whole


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    monkeypatch.setattr(targeting.TargetSearch, "time", made.of_encoder)
    monkeypatch.setattr(targeting, "plan_ratio", made.of_plan)
    monkeypatch.setattr(
        targeting, "ratios_alone", lambda _, layers, **k: {each.name: 0.5 for each in layers}
    )
    return made


def run(bundle: Path, data: Path, *targets: str, **changes: object) -> Calibration:
    config = CalibrateConfig(
        bundle=bundle,
        data=data,
        max_drop=20.0,
        targets=targets or ("cpu",),
        minutes=1e-9,
        **changes,
    )  # type: ignore[arg-type]
    return calibrate(config)


def test_an_encoder_that_is_slower_in_int8_stays_float32_whatever_the_others_are(
    demo_bundle: Path, data: Path, clock: Clock
) -> None:
    clock.encoders["mic"] = 1.2
    (outcome,) = run(demo_bundle, data).outcomes
    assert outcome.plan == "int8_cpu"
    assert outcome.latency["mic"].median == 1.2
    plans = open_bundle(demo_bundle).manifest.plans
    assert set(plans["int8_cpu"].int8) == {"camera"}
    assert plans["int8_cpu"].graphs["mic"] == plans["fp32"].graphs["mic"]


def test_an_encoder_that_is_slower_once_layers_are_restored_becomes_float32(
    demo_bundle: Path, data: Path, clock: Clock
) -> None:
    clock.fewer = {**clock.encoders, "camera": 1.2}
    # Mixed restores a layer at least, and the first ones are the camera's.
    _, outcome = run(demo_bundle, data, "tensorrt", "cpu", precision="mixed").outcomes
    assert (outcome.plan, outcome.latency["camera"].median) == ("mixed_cpu", 1.2)
    assert len(outcome.trials) == 2
    plans = open_bundle(demo_bundle).manifest.plans
    assert set(plans["mixed_cpu"].int8) == {"mic"}
    assert plans["mixed_cpu"].graphs["camera"] == plans["fp32"].graphs["camera"]


def test_mixed_is_not_to_be_had_where_nothing_is_faster_with_layers_restored(
    demo_bundle: Path, data: Path, clock: Clock
) -> None:
    clock.encoders["mic"], clock.fewer = 1.2, {**clock.encoders, "camera": 1.2}
    tensorrt, cpu = run(demo_bundle, data, "tensorrt", "cpu", precision="mixed").outcomes
    assert (tensorrt.plan, cpu.plan) == ("mixed_tensorrt", None)
    assert "no encoder is faster in INT8" in cpu.verdict


def test_where_no_encoder_is_faster_fp32_is_recommended_and_the_bundle_left(
    demo_bundle: Path, data: Path, clock: Clock
) -> None:
    before = content(demo_bundle)
    clock.encoders = dict.fromkeys(clock.encoders, 0.98)  # not worth it
    (outcome,) = run(demo_bundle, data).outcomes
    assert outcome.plan is None
    assert "fp32 stays the plan for this CPU" in outcome.verdict
    assert content(demo_bundle) == before


@pytest.mark.parametrize(("whole", "chosen"), [(1.02, "fp32"), (0.98, "int8_cpu")])
def test_a_plan_that_is_slower_as_a_whole_is_not_recommended_here_and_that_is_said(
    demo_bundle: Path, data: Path, clock: Clock, whole: float, chosen: str
) -> None:
    clock.whole = whole
    (outcome,) = run(demo_bundle, data).outcomes
    slower = "slower than fp32, so not recommended on this CPU" in outcome.verdict
    assert (outcome.plan, slower) == ("int8_cpu", whole > 1)
    plans = open_bundle(demo_bundle).manifest.plans
    assert plans["int8_cpu"].speeds[0].ratio == whole
    assert choose_plan(plans, "auto", "cpu").plan == chosen


def test_int8_that_is_asked_for_is_given_however_slow_and_not_recommended(
    demo_bundle: Path, data: Path, clock: Clock
) -> None:
    clock.encoders, clock.whole = dict.fromkeys(clock.encoders, 3.0), 3.0
    (outcome,) = run(demo_bundle, data, precision="int8").outcomes
    assert outcome.plan == "int8_cpu"
    assert "slower than fp32" in outcome.verdict
    plans = open_bundle(demo_bundle).manifest.plans
    assert set(plans["int8_cpu"].int8) == {"camera", "mic"}
    assert choose_plan(plans, "auto", "cpu").plan == "fp32"


def test_without_any_time_no_layer_is_measured_and_what_is_found_is_proven_all_the_same(
    demo_bundle: Path, data: Path, clock: Clock
) -> None:
    del clock
    (outcome,) = run(demo_bundle, data, "tensorrt").outcomes
    assert outcome.plan == "int8_tensorrt"
    assert len(outcome.units) > 8
    assert all(math.isnan(unit.noise) for unit in outcome.units)
    assert dict(outcome.methods) == {"camera": "min-max", "mic": "min-max"}
    assert outcome.searched is not None
    assert outcome.searched.passed
    assert outcome.reported is not None


def test_one_target_anew_leaves_the_other_its_plan_its_split_and_its_report(
    demo_bundle: Path, data: Path, clock: Clock
) -> None:
    del clock
    run(demo_bundle, data, "tensorrt", precision="fp16")
    first = open_bundle(demo_bundle)
    run(demo_bundle, data, "cpu")
    second = open_bundle(demo_bundle)
    assert list(second.manifest.plans) == ["fp32", "fp16_tensorrt", "int8_cpu"]
    assert second.manifest.plans["fp16_tensorrt"] == first.manifest.plans["fp16_tensorrt"]
    reports = second.manifest.reports
    for name in ("calibration", "calibration_page", "split"):
        assert reports[f"{name}_tensorrt"] == first.manifest.reports[name]
    found = json.loads(second.read(reports["calibration"]))
    assert [each["target"] for each in found["outcomes"]] == ["cpu"]
    second.check()

    run(demo_bundle, data, "tensorrt", precision="fp16", replace=True)
    third = open_bundle(demo_bundle).manifest
    assert set(third.plans) == {"fp32", "fp16_tensorrt", "int8_cpu"}
    assert third.reports["calibration_cpu"] == reports["calibration"]
    assert not any(name.endswith("_tensorrt") for name in third.reports)


def test_fp16_is_not_for_the_cpu_whose_plan_is_left_alone_unasked(
    demo_bundle: Path, data: Path, clock: Clock
) -> None:
    del clock
    run(demo_bundle, data, "cpu")
    before = open_bundle(demo_bundle).manifest
    found = run(demo_bundle, data, "tensorrt", "cpu", precision="fp16")  # as without --target
    assert [each.target for each in found.outcomes] == ["tensorrt"]
    assert "precision fp16 is not for the target cpu, which is left as it is" in found.notes
    after = open_bundle(demo_bundle).manifest
    assert list(after.plans) == ["fp32", "int8_cpu", "fp16_tensorrt"]
    assert after.plans["int8_cpu"] == before.plans["int8_cpu"]
    assert after.reports["calibration_cpu"] == before.reports["calibration"]


def test_a_plan_that_is_worth_nothing_any_more_goes_with_force(
    demo_bundle: Path, data: Path, clock: Clock
) -> None:
    run(demo_bundle, data)
    before = open_bundle(demo_bundle)
    clock.encoders = dict.fromkeys(clock.encoders, 1.0)
    run(demo_bundle, data, replace=True)
    after = open_bundle(demo_bundle)
    assert list(after.manifest.plans) == ["fp32"]
    assert after.manifest.plans["fp32"] == before.manifest.plans["fp32"]
    found = json.loads(after.read(after.manifest.reports["calibration"]))
    assert found["outcomes"][0]["plan"] is None
    old = {ref.name for ref in before.manifest.plans["int8_cpu"].graphs.values()}
    new = {ref.name for ref in after.manifest.plans["fp32"].graphs.values()}
    assert not {each.name for each in demo_bundle.iterdir()} & (old - new)


def test_what_was_there_stays_where_the_new_calibration_fails(
    demo_bundle: Path, data: Path, clock: Clock
) -> None:
    del clock
    run(demo_bundle, data)
    before = content(demo_bundle)
    config = CalibrateConfig(
        bundle=demo_bundle, data=data, targets=("cpu",), max_drop=0.1, minutes=1e-9, replace=True
    )
    with pytest.raises(Exception, match="prove only that"):
        calibrate(config)
    assert content(demo_bundle) == before
