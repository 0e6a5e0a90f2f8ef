"""A bench from end to end: with given times, and once with real processes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mmedge.bundle import open_bundle, save_bundle
from mmedge.errors import ArtefactError, ConfigError, IncompatibleError
from mmedge.proof.bench import Bench, BenchConfig, bench_bundle, running
from mmedge.runtime import machine
from mmedge.runtime.backends import BACKENDS
from mmedge.runtime.choosing import choose
from mmedge.runtime.measured import find_record
from tests.proof.bench.racing import GivenTimes
from tests.proof.plans.making import biased, with_plans

NO_DRIVER = IncompatibleError("there is no NVIDIA driver here")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMEDGE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """``half`` is another head than the trained one, so that the proof fails with it."""
    save_bundle(with_plans({"half": biased(2.46)}), tmp_path / "two.mmedge")
    return tmp_path / "two.mmedge"


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> type[GivenTimes]:
    """Two backends, whose times are to be given."""
    monkeypatch.setattr(running, "Contestant", GivenTimes)
    two = {name: BACKENDS[name] for name in ("cpu", "openvino")}
    monkeypatch.setattr(running, "BACKENDS", two)
    for name, empty in (("REFUSES", {}), ("FAILS", {}), ("FORGETS", {})):
        monkeypatch.setattr(GivenTimes, name, empty)
    monkeypatch.setattr(GivenTimes, "UNPROVEN", set())
    monkeypatch.setattr(GivenTimes, "order", [])
    monkeypatch.setattr(GivenTimes, "closed", [])
    return GivenTimes


def measure(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, times: Mapping[str, float], **config: Any
) -> Bench:
    monkeypatch.setattr(GivenTimes, "TIMES_MS", dict(times))
    return bench_bundle(BenchConfig(bundle=bundle, **{"rounds": 4, **config}))


@pytest.mark.parametrize(
    ("openvino_ms", "expected"), [(9.0, "openvino"), (9.1, "cpu"), (4.0, "openvino"), (20, "cpu")]
)
@pytest.mark.usefixtures("given")
def test_openvino_is_taken_where_it_needs_at_most_nine_tenths_of_the_time(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, openvino_ms: float, expected: str
) -> None:
    times = {"cpu fp32": 10.0, "cpu half": 11.0, "openvino fp32": openvino_ms}
    found = measure(bundle, monkeypatch, times)
    assert found.best is not None
    assert (found.best.backend, found.best.plan) == (expected, "fp32")
    choice = choose(open_bundle(bundle), "auto", "auto")
    assert (choice.backend, choice.plan) == (expected, "fp32")
    record, why = find_record(open_bundle(bundle))
    assert why == ""
    assert record is not None
    assert record.reference == "cpu fp32"
    assert {(t.backend, t.plan): t.ratio for t in record.timings} == {
        ("cpu", "fp32"): 1.0,
        ("cpu", "half"): 1.1,
        ("openvino", "fp32"): openvino_ms / 10,
    }


def test_they_take_turns_and_who_begins_changes(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, given: type[GivenTimes]
) -> None:
    times = {"cpu fp32": 1.0, "cpu half": 1.0, "openvino fp32": 1.0}
    found = measure(bundle, monkeypatch, times, rounds=2)
    assert given.order == [
        *("cpu fp32", "cpu half", "openvino fp32"),  # warms up
        *("cpu half", "openvino fp32", "cpu fp32"),
        *("openvino fp32", "cpu fp32", "cpu half"),
    ]
    assert found.rounds == 2
    assert [row.runs for row in found.rows] == [6, 6, 6]
    assert set(given.closed) == set(times)


@pytest.mark.usefixtures("given")
def test_what_is_not_proven_here_is_never_taken_however_fast(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {"cpu fp32": 10.0, "cpu half": 1.0, "openvino fp32": 20.0}
    monkeypatch.setattr(GivenTimes, "UNPROVEN", {"cpu half"})
    found = measure(bundle, monkeypatch, times)
    assert found.best is not None
    assert found.best.plan == "fp32"
    row = next(row for row in found.rows if row.plan == "half")
    assert (row.verified, row.ratio) == (False, 0.1)
    assert "2.6 times as far off" in row.problem
    record, _ = find_record(open_bundle(bundle))
    assert record is not None
    assert {t.plan for t in record.timings} == {"fp32"}


@pytest.mark.usefixtures("given")
def test_a_backend_that_is_not_proven_here_does_not_make_the_record_stale(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_version", lambda package: "1.0")  # all are installed
    monkeypatch.setattr(GivenTimes, "UNPROVEN", {"openvino fp32"})
    times = {"cpu fp32": 10.0, "cpu half": 8.0, "openvino fp32": 5.0}
    found = measure(bundle, monkeypatch, times)
    assert found.versions["openvino"] == "1.0"
    record, stale = find_record(open_bundle(bundle))
    assert stale == ""
    assert record is not None
    assert "openvino" not in record.versions


@pytest.mark.usefixtures("given")
def test_where_nothing_is_proven_nothing_is_taken_and_nothing_kept(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {"cpu fp32": 10.0, "cpu half": 1.0, "openvino fp32": 20.0}
    monkeypatch.setattr(GivenTimes, "UNPROVEN", set(times))
    found = measure(bundle, monkeypatch, times)
    assert found.best is None
    assert found.kept == "not kept: nothing was verified"
    assert find_record(open_bundle(bundle)) == (None, "")


@pytest.mark.usefixtures("given")
def test_what_cannot_run_here_is_left_out_with_its_reason(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GivenTimes, "REFUSES", {"openvino fp32": NO_DRIVER, "cpu half": NO_DRIVER})
    found = measure(bundle, monkeypatch, {"cpu fp32": 10.0})
    assert [row.plan for row in found.rows] == ["fp32"]
    assert found.left_out[-1] == "cpu half, openvino fp32: there is no NVIDIA driver here"
    assert "plan 'half' is not float32" in found.unfit["half"]["openvino"]


@pytest.mark.usefixtures("given")
def test_a_backend_that_was_asked_for_and_cannot_run_is_an_error(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GivenTimes, "REFUSES", {"openvino fp32": NO_DRIVER})
    with pytest.raises(IncompatibleError, match="no NVIDIA driver"):
        measure(bundle, monkeypatch, {"cpu fp32": 10.0}, backends=("openvino",))
    both = {"backends": ("openvino",), "plans": ("half",)}
    with pytest.raises(IncompatibleError, match="plan 'half' is not float32"):
        measure(bundle, monkeypatch, {}, **both)


@pytest.mark.usefixtures("given")
def test_one_that_fails_in_the_middle_leaves_the_others_running(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GivenTimes, "FAILS", {"cpu fp32": ArtefactError("it fails")})
    found = measure(bundle, monkeypatch, {"cpu half": 10.0, "openvino fp32": 5.0})
    assert [(row.backend, row.plan, row.ratio) for row in found.rows] == [
        ("cpu", "half", 1.0),
        ("openvino", "fp32", 0.5),
    ]
    assert "cpu fp32: it fails" in found.left_out
    assert found.kept == "not kept: cpu fp32 failed meanwhile"
    assert find_record(open_bundle(bundle)) == (None, "")


@pytest.mark.usefixtures("given")
def test_a_backend_that_was_asked_for_and_fails_in_its_turn_is_an_error(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GivenTimes, "FAILS", {"openvino fp32": IncompatibleError("signal 11")})
    times = {"cpu fp32": 10.0, "cpu half": 10.0}
    with pytest.raises(IncompatibleError, match="signal 11"):
        measure(bundle, monkeypatch, times, backends=("openvino",))


@pytest.mark.usefixtures("given")
def test_one_that_dies_when_it_is_asked_for_its_memory_is_not_verified(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GivenTimes, "FORGETS", {"openvino fp32": IncompatibleError("signal 9")})
    times = {"cpu fp32": 10.0, "cpu half": 10.0, "openvino fp32": 5.0}
    found = measure(bundle, monkeypatch, times)
    assert [(row.verified, row.problem) for row in found.rows] == [
        (True, ""),
        (True, ""),
        (False, "signal 9"),
    ]
    assert [row.peak_bytes for row in found.rows] == [2**20, 2**20, None]
    assert found.best is found.rows[0]


@pytest.mark.usefixtures("given")
def test_after_so_long_no_further_round_begins_if_there_were_seven(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {"cpu fp32": 1.0, "cpu half": 1.0, "openvino fp32": 1.0}
    assert measure(bundle, monkeypatch, times, rounds=9, most_s=0.0).rounds == 7
    assert measure(bundle, monkeypatch, times, rounds=9).rounds == 9
    assert measure(bundle, monkeypatch, times, rounds=3, most_s=0.0).rounds == 3


@pytest.mark.usefixtures("given")
def test_when_all_fail_the_reason_is_told(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("cpu fp32", "cpu half", "openvino fp32")
    monkeypatch.setattr(GivenTimes, "FAILS", dict.fromkeys(names, ArtefactError("it fails")))
    with pytest.raises(ArtefactError, match="it fails"):
        measure(bundle, monkeypatch, {})
    monkeypatch.setattr(GivenTimes, "REFUSES", dict.fromkeys(names, NO_DRIVER))
    with pytest.raises(IncompatibleError):
        measure(bundle, monkeypatch, {})


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"plans": ("half",)}, "not kept: only some were measured"),
        ({"backends": ("openvino",)}, "not kept: only some were measured"),
        ({"keep": False}, "not kept, as asked"),
        (
            {"threads": 4},
            "not kept: it holds for these threads only; name what it says to take",
        ),
    ],
)
@pytest.mark.usefixtures("given")
def test_a_part_is_not_kept(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], words: str
) -> None:
    times = {"cpu fp32": 10.0, "cpu half": 8.0, "openvino fp32": 20.0}
    assert measure(bundle, monkeypatch, times, **config).kept == words
    assert find_record(open_bundle(bundle)) == (None, "")


@pytest.mark.usefixtures("given")
def test_a_cache_that_cannot_be_written_loses_no_result(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MMEDGE_CACHE", str(tmp_path / "file"))
    times = {"cpu fp32": 10.0, "cpu half": 8.0, "openvino fp32": 20.0}
    found = measure(bundle, monkeypatch, times)
    assert found.best is not None
    assert found.kept.startswith("not kept: ")
    assert "Set MMEDGE_CACHE to another folder" in found.kept


@pytest.mark.usefixtures("given")
def test_an_imitation_is_never_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_bundle(with_plans({"low": biased(0.0)}, "tensorrt"), tmp_path / "low.mmedge")
    times = {"cpu fp32": 10.0, "openvino fp32": 10.0}
    found = measure(tmp_path / "low.mmedge", monkeypatch, times)
    assert {row.plan for row in found.rows} == {"fp32"}
    assert "only imitates it" in found.unfit["low"]["cpu"]


def test_real_processes_measure_and_verify(bundle: Path) -> None:
    said: list[str] = []
    config = BenchConfig(bundle=bundle, backends=("cpu",), rounds=2, turn_ms=1)
    found = bench_bundle(config, said.append)
    trained, half = found.rows
    assert (trained.verified, half.verified) == (True, False)
    assert "as far off as the plan allows" in half.problem
    assert found.best is trained
    assert trained.ratio == 1.0
    assert trained.threads == {"ant": 1, "bee": 1, "fusion": 1}
    assert 0 < trained.p50_ms["fusion"] < trained.p99_ms["whole"] < 1000
    assert {"open cpu fp32", "warm up", "verify cpu half"} <= set(said)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"backends": ("npu",)}, "there is no backend 'npu'"),
        ({"threads": 0}, "must be 1 or more"),
        ({"rounds": 1}, "two halves are compared"),
        ({"turn_ms": 0}, "must be 1 or more"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        BenchConfig(bundle=Path("x"), **fields)


def test_a_plan_that_is_not_there_is_refused(bundle: Path) -> None:
    with pytest.raises(ConfigError, match="no plan 'none'"):
        bench_bundle(BenchConfig(bundle=bundle, plans=("none",)))
