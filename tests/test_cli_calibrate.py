"""``mmedge calibrate``: what it prints, and what it ends with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mmedge import open_bundle
from mmedge.engines import trying
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
