"""The whole calibration on the demo, in the default tests: no torch, no GPU."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mmedge import open_bundle
from mmedge.calibration import CalibrateConfig, Calibration, calibrate
from mmedge.errors import ConfigError, ProofError
from mmedge.proof import verify
from tests.calibration.pairs import write_pairs

DEMO = Path(__file__).resolve().parents[2] / "mmedge/demo/digits.mmedge"


def copy_of_demo(folder: Path) -> Path:
    return Path(shutil.copytree(DEMO, folder / "digits.mmedge"))


def content(bundle: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in bundle.iterdir() if each.name != ".lock"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "pairs.jsonl")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("few") / "few.jsonl", 99)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, data: Path) -> CalibrateConfig:
    bundle = copy_of_demo(tmp_path_factory.mktemp("demo"))
    # All layers, whatever a busy machine makes of their latency.
    report = bundle.parent / "report.html"
    return CalibrateConfig(bundle=bundle, data=data, max_drop=2.0, precision="int8", report=report)


@pytest.fixture(scope="module")
def found(config: CalibrateConfig) -> Calibration:
    return calibrate(config)


def test_both_targets_get_a_plan_that_is_nearly_all_int8_and_proven(found: Calibration) -> None:
    assert [outcome.plan for outcome in found.outcomes] == ["int8_tensorrt", "int8_cpu"]
    for outcome in found.outcomes:
        assert outcome.searched is not None
        assert outcome.searched.share >= 0.8
        assert outcome.searched.worst_bound <= 2.0
        assert outcome.waived == ""


def test_the_bundle_on_disk_holds_the_plans_and_verifies_in_each(
    config: CalibrateConfig, found: Calibration
) -> None:
    bundle = open_bundle(config.bundle)
    assert list(bundle.manifest.plans) == ["fp32", "int8_tensorrt", "int8_cpu"]
    assert bundle.digest == found.bundle.digest
    for plan in ("int8_tensorrt", "int8_cpu"):
        assert verify(bundle, plan=plan).passed
    assert bundle.manifest.plans["int8_tensorrt"].target == "tensorrt"
    assert bundle.manifest.plans["int8_cpu"].instructions == ()


def test_what_fp32_computes_is_left_to_the_byte(
    config: CalibrateConfig, found: Calibration
) -> None:
    del found
    before, after = (open_bundle(each).manifest for each in (DEMO, config.bundle))
    assert before.plans["fp32"] == after.plans["fp32"]
    assert before.graphs == after.graphs
    assert before.golden == after.golden


def test_the_head_and_what_has_no_products_are_not_lowered(found: Calibration) -> None:
    plans = found.bundle.manifest.plans
    assert plans["int8_cpu"].graphs["fusion"] == plans["fp32"].graphs["fusion"]
    assert plans["int8_tensorrt"].graphs["fusion"] == plans["fp32"].graphs["fusion"]
    assert plans["int8_cpu"].graphs["hint"] == plans["fp32"].graphs["hint"]
    assert set(plans["int8_cpu"].int8) == {"camera", "mic"}


def test_no_group_is_in_two_parts_and_the_split_stays_with_the_bundle(found: Calibration) -> None:
    manifest = found.bundle.manifest
    split = json.loads(found.bundle.read(manifest.reports["split"]))
    groups = [group for part in split.values() for group in part["groups"]]
    assert len(groups) == len(set(groups)) == 3
    assert sum(found.samples.values()) == 500


def test_the_report_is_in_the_bundle_as_json(found: Calibration) -> None:
    report = json.loads(found.bundle.read(found.bundle.manifest.reports["calibration"]))
    assert report == found.to_json()
    assert [each["plan"] for each in report["outcomes"]] == ["int8_tensorrt", "int8_cpu"]
    assert report["outcomes"][0]["units"]


def test_the_page_is_in_the_bundle_and_where_it_was_asked_for(
    config: CalibrateConfig, found: Calibration
) -> None:
    page = found.bundle.read(found.bundle.manifest.reports["calibration_page"])
    assert config.report is not None
    assert config.report.read_bytes() == page
    for words in (b"int8_tensorrt (simulated)", b"int8_cpu", b"encoder.features.0.1/Conv"):
        assert words in page


def test_answers_are_counted_on_the_samples_that_no_decision_has_seen(found: Calibration) -> None:
    for outcome in found.outcomes:
        assert outcome.reported is not None
        digits = outcome.reported.confusions["digit"]
        assert digits.labelled
        assert digits.table("truth", "plan").sum() == found.samples["report"]
        lost = digits.table("truth", "fp32").trace() - digits.table("truth", "plan").trace()
        drop = outcome.reported.drops["digit"]
        assert 100 * lost / drop.samples == pytest.approx(drop.value)


def test_only_what_runs_on_this_cpu_is_timed(found: Calibration) -> None:
    tensorrt, cpu = found.outcomes
    assert [trial.ratio for trial in tensorrt.trials] == [None] * len(tensorrt.trials)
    assert all(trial.ratio is not None and trial.ratio > 0 for trial in cpu.trials)
    assert cpu.searched is not None
    assert cpu.ratio == cpu.searched.ratio


def test_every_subset_of_modalities_has_its_temperature(found: Calibration) -> None:
    table = found.bundle.manifest.plans["int8_cpu"].temperatures["digit"]
    assert set(table) == {
        "camera+mic+hint", "camera+mic", "camera+hint", "mic+hint", "camera", "mic", "hint",
    }  # fmt: skip


def test_the_cpu_plan_says_where_it_was_measured(found: Calibration) -> None:
    (speed,) = found.bundle.manifest.plans["int8_cpu"].speeds
    assert speed.machine == found.machine
    assert found.bundle.manifest.plans["int8_tensorrt"].speeds == ()


def test_a_calibrated_bundle_is_not_calibrated_again_unasked(
    config: CalibrateConfig, found: Calibration
) -> None:
    del found
    before = content(config.bundle)
    with pytest.raises(ConfigError, match=r"has the plan 'int8_tensorrt' already; add --force"):
        calibrate(config)
    assert content(config.bundle) == before


def test_too_few_samples_prove_nothing_and_ship_nothing(tmp_path: Path, few: Path) -> None:
    bundle = copy_of_demo(tmp_path)
    before = content(bundle)
    report = tmp_path / "why.html"
    config = CalibrateConfig(
        bundle=bundle, data=few, targets=("cpu",), precision="int8", report=report
    )
    with pytest.raises(ProofError, match=r"prove only .* Give about \d+ samples") as failure:
        calibrate(config)
    assert failure.value.exit_code == 7
    assert content(bundle) == before
    assert f"report: {report}" in str(failure.value)
    assert "no plan" in report.read_text()


def test_a_report_that_could_not_be_written_is_refused_before_the_work(
    tmp_path: Path, data: Path
) -> None:
    stages: list[str] = []
    config = CalibrateConfig(
        bundle=copy_of_demo(tmp_path), data=data, report=tmp_path / "no" / "page.html"
    )
    with pytest.raises(ConfigError, match="does not exist; make it first"):
        calibrate(config, stages.append)
    assert stages == []


def test_a_metric_that_no_task_has_is_refused_before_the_work(tmp_path: Path, data: Path) -> None:
    stages: list[str] = []
    config = CalibrateConfig(bundle=copy_of_demo(tmp_path), data=data, metric="recall_at_5")
    with pytest.raises(ConfigError, match="judged by 'recall_at_5'; choose accuracy or macro_f1"):
        calibrate(config, stages.append)
    assert stages == []


def test_what_is_not_proven_can_be_accepted_and_is_recorded(tmp_path: Path, few: Path) -> None:
    bundle = copy_of_demo(tmp_path)
    config = CalibrateConfig(
        bundle=bundle, data=few, targets=("cpu",), precision="int8", accept_unproven=True,
        max_drop=1.0,
    )  # fmt: skip
    calibrate(config)
    plan = open_bundle(bundle).manifest.plans["int8_cpu"]
    assert "1 were allowed" in plan.waived


def test_fp16_alone_is_a_plan_for_tensorrt(tmp_path: Path, data: Path) -> None:
    bundle = copy_of_demo(tmp_path)
    found = calibrate(
        CalibrateConfig(
            bundle=bundle, data=data, targets=("tensorrt",), precision="fp16", max_drop=2.0
        )
    )
    plan = found.bundle.manifest.plans["fp16_tensorrt"]
    assert plan.precision == "fp16"
    assert verify(found.bundle, plan="fp16_tensorrt").passed
    assert plan.int8 == {}
    assert plan.graphs["hint"] != found.bundle.manifest.plans["fp32"].graphs["hint"]


def test_ctrl_c_at_any_stage_leaves_the_bundle_as_it_was(tmp_path: Path, few: Path) -> None:
    bundle = copy_of_demo(tmp_path)
    before = content(bundle)
    config = CalibrateConfig(
        bundle=bundle,
        data=few,
        targets=("tensorrt",),
        precision="fp16",
        max_drop=20.0,
    )
    stages: list[str] = []

    def enough(stage: str) -> None:
        stages.append(stage)
        if stage == "write":
            raise ConfigError("enough")

    with pytest.raises(ConfigError):  # ends before anything is written
        calibrate(config, enough)
    shown = [each for each in stages if not re.search(r"^encoded|^samples:|: (input|unit) ", each)]
    assert len(shown) >= 8  # without those that only a slow machine shows
    for stage in shown:
        with pytest.raises(KeyboardInterrupt):
            calibrate(config, _interrupt(stage))
        assert content(bundle) == before


def _interrupt(at: str) -> Callable[[str], None]:
    def say(stage: str) -> None:
        if stage == at:
            raise KeyboardInterrupt

    return say


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max_drop": 0}, "max_drop=0 must lie above 0"),
        ({"targets": ("gpu",)}, "targets=gpu: choose among tensorrt, cpu"),
        ({"targets": ()}, "targets=none"),
        ({"precision": "int4"}, "precision='int4' is none of auto, int8, fp16, mixed"),
        ({"precision": "fp16", "targets": ("cpu",)}, "a CPU gains nothing from FP16"),
        ({"minutes": 0}, "minutes=0 must be above 0"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(
    change: dict[str, object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(CalibrateConfig(bundle=tmp_path, data=tmp_path), **change)
