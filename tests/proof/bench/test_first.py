"""The first run: short, of what is installed, and only where nothing holds; times are given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmedge.bundle import open_bundle, save_bundle
from mmedge.errors import IncompatibleError, ProofError
from mmedge.proof.bench import BenchConfig, bench_bundle, first_run, running
from mmedge.runtime import machine
from mmedge.runtime.backends import BACKENDS
from mmedge.runtime.measured import find_record
from tests.proof.bench.racing import GivenTimes
from tests.proof.plans.making import biased, with_plans


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    save_bundle(with_plans({"half": biased(0.0)}), tmp_path / "two.mmedge")
    return tmp_path / "two.mmedge"


@pytest.fixture(autouse=True)
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[GivenTimes]:
    """OpenVINO is installed beside ONNX Runtime, and takes half of its time."""
    monkeypatch.setenv("MMEDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(running, "Contestant", GivenTimes)
    two = {name: BACKENDS[name] for name in ("cpu", "openvino")}
    monkeypatch.setattr(running, "BACKENDS", two)
    here = ("onnxruntime", "openvino")
    monkeypatch.setattr(machine, "_version", lambda name: "1.0" if name in here else "")
    for name in ("REFUSES", "FAILS", "FORGETS"):
        monkeypatch.setattr(GivenTimes, name, {})
    monkeypatch.setattr(GivenTimes, "UNPROVEN", set())
    monkeypatch.setattr(GivenTimes, "order", [])
    times = {"cpu fp32": 10.0, "cpu half": 8.0, "openvino fp32": 5.0}
    monkeypatch.setattr(GivenTimes, "TIMES_MS", times)
    return GivenTimes


def test_it_measures_what_is_installed_and_keeps_it_as_a_first_runs(
    bundle: Path, given: type[GivenTimes]
) -> None:
    found = first_run(bundle)
    assert found.record.by == "first run"
    assert {(t.backend, t.plan): t.ratio for t in found.record.timings} == {
        ("cpu", "fp32"): 1.0,
        ("cpu", "half"): 0.8,
        ("openvino", "fp32"): 0.5,
    }
    assert find_record(open_bundle(bundle)) == (found.record, "")
    assert set(given.order) == {"cpu fp32", "cpu half", "openvino fp32"}
    assert len(given.order) == 3 * 11


def test_what_is_not_installed_is_not_tried_and_named_with_what_it_lacks(bundle: Path) -> None:
    (said,) = first_run(bundle).said
    assert said == (
        "left out: cuda (no onnxruntime-gpu, NVIDIA driver), onnxruntime-tensorrt (no "
        "onnxruntime-gpu, tensorrt, NVIDIA driver), tensorrt (no tensorrt, cuda-bindings, NVIDIA "
        "driver), tensorrt-rtx (no tensorrt-rtx, cuda-bindings, NVIDIA driver)"
    )


def test_where_a_record_holds_nothing_is_measured(bundle: Path, given: type[GivenTimes]) -> None:
    bench_bundle(BenchConfig(bundle=bundle, rounds=2))
    given.order.clear()
    found = first_run(bundle)
    assert (found.record.by, found.said, given.order) == ("bench", (), [])


def test_a_bench_takes_the_place_of_a_first_run(bundle: Path) -> None:
    first_run(bundle)
    bench_bundle(BenchConfig(bundle=bundle, rounds=2))
    record, _ = find_record(open_bundle(bundle))
    assert record is not None
    assert record.by == "bench"


def test_what_is_not_proven_or_has_no_engine_is_left_out_with_its_reason(
    bundle: Path, given: type[GivenTimes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(given, "UNPROVEN", {"openvino fp32"})
    no_engine = IncompatibleError("there is no engine of it;\nrun mmedge build")
    monkeypatch.setattr(given, "REFUSES", {"cpu half": no_engine})
    found = first_run(bundle)
    assert [t.backend for t in found.record.timings] == ["cpu"]
    assert found.said[1:] == (
        "left out: cpu half: there is no engine of it; run mmedge build",
        "left out: openvino fp32: end to end/side is 2.6 times as far off as the plan allows",
    )


def test_one_that_fails_in_the_middle_is_not_tried_anew_at_every_start(
    bundle: Path, given: type[GivenTimes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(given, "FAILS", {"openvino fp32": IncompatibleError("signal 11")})
    found = first_run(bundle)
    assert found.said[1:] == ("left out: openvino fp32: signal 11",)
    assert find_record(open_bundle(bundle)) == (found.record, "")


def test_where_nothing_is_proven_nothing_is_kept(
    bundle: Path, given: type[GivenTimes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(given, "UNPROVEN", {"cpu fp32", "cpu half", "openvino fp32"})
    with pytest.raises(ProofError, match="no backend gives the trained model's numbers: cpu fp32"):
        first_run(bundle)
    assert find_record(open_bundle(bundle)) == (None, "")


def test_where_nothing_can_be_kept_it_is_found_all_the_same_and_said(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MMEDGE_CACHE", str(tmp_path / "file"))
    found = first_run(bundle)
    assert len(found.record.timings) == 3
    assert found.said[-1].startswith(f"not kept: {tmp_path}/file/bench/")
    assert found.said[-1].endswith("It is measured anew at the next start.")


def test_it_is_one_line_of_json(bundle: Path) -> None:
    assert json.loads(first_run(bundle).model_dump_json())["record"]["by"] == "first run"
