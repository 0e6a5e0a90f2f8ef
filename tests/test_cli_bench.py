"""``mmedge bench``: what it prints, keeps and ends with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmedge.bundle import save_bundle
from tests.proof.plans.making import biased, clips, with_plans

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``half`` is another head than the trained one, so that the proof fails with it."""
    monkeypatch.setenv("MMEDGE_CACHE", str(tmp_path / "cache"))
    save_bundle(with_plans({"half": biased(2.46)}), tmp_path / "two.mmedge")
    return tmp_path / "two.mmedge"


def test_it_prints_a_table_and_which_to_take(mmedge: Run, bundle: Path, tmp_path: Path) -> None:
    picture = tmp_path / "bench.svg"
    code, out, err = mmedge("bench", bundle, "--rounds", 2, "--picture", picture)
    assert code == 0
    for word in ("linear on", "p50", "p95", "p99", "per s", "FAILED", "encode ant", "fusion"):
        assert word in out
    said = " ".join(out.split())
    assert "not verified: cpu half is not taken: " in said
    assert "left out: plan half is not for cuda, onnxruntime-tensorrt, openvino, tensorrt" in said
    assert "take: --backend " in said
    assert f"record: {tmp_path}/cache/bench/" in said
    assert "power: " in said
    assert "open cpu fp32 ..." in err
    assert picture.read_text().startswith("<svg")


def test_the_next_start_takes_it_and_says_so(mmedge: Run, bundle: Path, tmp_path: Path) -> None:
    assert mmedge("bench", bundle, "--rounds", 2)[0] == 0
    code, _, err = mmedge("predict", bundle, "--clips", clips(tmp_path / "data", rows=3))
    assert code == 0
    assert "plan fp32: fastest here" in err
    assert "as 'mmedge bench' measured" in err


def test_a_first_run_ahead_of_time_is_one_line_of_json_and_taken_at_the_start(
    mmedge: Run, bundle: Path, tmp_path: Path
) -> None:
    code, out, _ = mmedge("bench", bundle, "--first-run")
    assert code == 0
    assert json.loads(out)["record"]["by"] == "first run"
    again = json.loads(mmedge("bench", bundle, "--first-run")[1])
    assert again == {"record": json.loads(out)["record"], "said": []}
    _, _, err = mmedge("predict", bundle, "--clips", clips(tmp_path / "data", rows=3))
    assert "as the first run measured" in err


def test_a_first_run_takes_no_other_options(mmedge: Run, bundle: Path) -> None:
    code, _, err = mmedge("bench", bundle, "--first-run", "--backend", "cpu")
    assert code == 2
    assert "--first-run measures as --backend auto does; leave out the rest" in err


def test_json_has_it_all(mmedge: Run, bundle: Path) -> None:
    arguments = ("bench", bundle, "--rounds", 2, "--backend", "cpu", "--threads", 2, "--json")
    code, out, _ = mmedge(*arguments)
    found = json.loads(out)
    assert code == 0
    assert found["bundle"] == str(bundle)
    assert found["best"] == {"backend": "cpu", "plan": "fp32"}
    assert found["kept"] == "not kept: only some were measured"
    first, half = found["rows"]
    assert (first["verified"], half["verified"]) == (True, False)
    assert first["threads"] == {"ant": 2, "bee": 2, "fusion": 2}
    assert list(first["stages"]) == [
        "prepare ant",
        "encode ant",
        "prepare bee",
        "encode bee",
        "fusion",
        "whole",
    ]
    assert set(first["stages"]["whole"]) == {"p50_ms", "p95_ms", "p99_ms"}
    assert "mmedge" in found["versions"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--backend", "npu"), 2, "there is no backend 'npu'"),
        (("--plan", "none"), 2, "the bundle has no plan 'none'"),
        (("--rounds", 1), 2, "two halves are compared"),
        (("--picture", "x.png"), 2, "a picture's name ends in .svg"),
        (("--backend", "tensorrt"), 4, "tensorrt"),
    ],
)
def test_what_cannot_be_meant_or_run_ends_with_its_code(
    mmedge: Run, bundle: Path, arguments: tuple[object, ...], code: int, message: str
) -> None:
    ended, out, err = mmedge("bench", bundle, *arguments)
    assert (ended, out) == (code, "")
    assert message in err


def test_where_nothing_is_proven_it_ends_with_7(
    mmedge: Run, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmedge.proof.bench import running
    from tests.proof.bench.racing import GivenTimes

    times = {"cpu fp32": 1.0, "cpu half": 1.0}
    monkeypatch.setattr(running, "Contestant", GivenTimes)
    monkeypatch.setattr(GivenTimes, "TIMES_MS", times)
    monkeypatch.setattr(GivenTimes, "UNPROVEN", set(times))
    code, out, err = mmedge("bench", bundle, "--backend", "cpu", "--rounds", 2)
    assert code == 7
    assert "FAILED" in out
    assert "no backend gives the trained model's numbers here" in err
