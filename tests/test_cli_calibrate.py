"""``mmedge calibrate``: what it prints, and what it ends with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mmedge import open_bundle
from mmedge.engines import BuildReport, trying
from mmedge.engines.trying import Tried
from mmedge.errors import ProofError
from tests.calibration.pairs import write_pairs

Run = Callable[..., tuple[int, str, str]]
DEMO = Path(__file__).resolve().parents[1] / "mmedge/demo/digits.mmedge"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEMO, tmp_path / "digits.mmedge"))


def test_the_report_is_written_and_named(mmedge: Run, bundle: Path, tmp_path: Path) -> None:
    page = tmp_path / "[page].html"
    code, out, _ = mmedge(
        "calibrate", bundle, "--data", write_pairs(tmp_path / "few.jsonl", 99), "--target",
        "tensorrt", "--precision", "fp16", "--max-drop", "20", "--report", page,
    )  # fmt: skip
    assert code == 0
    assert f"report: {page}" in out
    assert "engines" in out
    assert "samples: 33 of 1 group to observe, 33 of 1 group to choose by" in out
    assert page.read_text().startswith("<!doctype html>")


def test_a_report_that_is_no_page_is_refused_and_left(
    mmedge: Run, bundle: Path, tmp_path: Path
) -> None:
    data = write_pairs(tmp_path / "few.jsonl", 9)
    before = data.read_bytes()
    code, _, err = mmedge("calibrate", bundle, "--data", data, "--report", data)
    assert (code, "a report's name ends in .html" in err) == (2, True)
    assert data.read_bytes() == before


AUDITED = Tried(
    report=BuildReport(plan="made", why="", where="a place", ahead_of_time=False, engines=())
)
FAILED = Tried(failure=ProofError("camera was built otherwise than its plan says"))


@pytest.mark.parametrize("tried", [AUDITED, FAILED])
def test_what_came_of_the_engines_is_in_the_reports_of_the_bundle(
    mmedge: Run,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tried: Tried,
) -> None:
    code = 0 if tried.failure is None else 7
    monkeypatch.setattr(trying, "try_engines", lambda *_: tried)
    page = tmp_path / "page.html"
    ended, out, _ = mmedge(
        "calibrate", bundle, "--data", write_pairs(tmp_path / "few.jsonl", 99), "--target",
        "tensorrt", "--precision", "fp16", "--max-drop", "20", "--report", page, "--json",
    )  # fmt: skip
    assert ended == code
    saved = open_bundle(bundle)
    saved.check()
    reports = {name: saved.read(ref) for name, ref in saved.manifest.reports.items()}
    assert json.loads(reports["calibration"])["engines"] == tried.to_json()
    assert json.loads(out)["engines"] == tried.to_json()
    assert reports["calibration_page"] == page.read_bytes()
    assert b"<h2>Engines</h2>" in page.read_bytes()
    assert "fp16_tensorrt" in saved.manifest.plans


@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c_while_engines_are_tried_leaves_the_plans_and_what_was_found_is_shown(
    mmedge: Run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trying, "try_engines", interrupted)
    code, out, _ = mmedge(
        "calibrate", bundle, "--data", write_pairs(tmp_path / "few.jsonl", 99), "--target",
        "tensorrt", "--precision", "fp16", "--max-drop", "20", *["--json"] * as_json,
    )  # fmt: skip
    assert code == 130
    assert "fp16_tensorrt" in open_bundle(bundle).manifest.plans
    if as_json:
        found = json.loads(out)
        assert (found["outcomes"][0]["plan"], found["engines"]) == ("fp16_tensorrt", None)
    else:
        assert "fp16_tensorrt" in out
