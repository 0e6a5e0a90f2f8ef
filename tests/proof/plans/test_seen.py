"""Clips that a calibration has used already."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmedge.bundle import Bundle, file_ref, save_bundle
from mmedge.errors import ArtefactError
from mmedge.proof.data import split
from mmedge.proof.plans import EvalConfig, evaluate_plans
from tests.proof.plans.making import biased, clips, with_plans

SPEAKERS = ("ann", "bob", "eve", "joe", "liz")
PARTS = split(SPEAKERS)


def speakers(part: str) -> list[str]:
    return [SPEAKERS[row] for row in getattr(PARTS, part)]


def noted(folder: Path, part: str, reports: dict[str, Any]) -> tuple[str, ...]:
    """What eval notes of twelve clips of one speaker of a part."""
    bundle = with_plans({"half": biased(0.0)})
    texts = {name: json.dumps(each).encode() for name, each in reports.items()}
    refs = {name: file_ref(name, ".json", text) for name, text in texts.items()}
    manifest = bundle.manifest.model_copy(update={"reports": refs})
    files = {refs[name].name: text for name, text in texts.items()}
    save_bundle(Bundle.in_memory(manifest, {**bundle.files, **files}), folder / "x.mmedge")
    data = clips(folder / "data", speaker=speakers(part)[0], site="hall")
    return evaluate_plans(EvalConfig(bundle=folder / "x.mmedge", data=data)).notes


@pytest.mark.parametrize("part", ["ranges", "search"])
@pytest.mark.parametrize("name", ["split", "split_tensorrt"])
def test_eval_warns_of_clips_that_the_calibration_has_used(
    tmp_path: Path, part: str, name: str
) -> None:
    (note,) = noted(tmp_path, part, {name: PARTS.to_json()})
    assert note.startswith("12 of the 12 clips are of speakers, sessions or files that the calib")


def test_clips_that_no_decision_has_seen_are_no_reason_to_warn(tmp_path: Path) -> None:
    assert noted(tmp_path, "report", {"split": PARTS.to_json()}) == ()


def test_groups_are_told_by_the_column_that_the_calibration_was_told(tmp_path: Path) -> None:
    sites = split(["hall", "yard", "gate"])
    assert sites.search.tolist() == [0]  # the clips are of the hall, their speaker of no part
    assert noted(tmp_path, "report", {"split": {**sites.to_json(), "by": "site"}}) != ()


def test_a_split_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="split is no JSON object"):
        noted(tmp_path, "report", {"split": [1]})
