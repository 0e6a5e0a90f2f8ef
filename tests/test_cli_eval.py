"""``mmedge eval``: what it prints, and what it ends with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmedge.bundle import save_bundle
from tests.proof.plans.making import biased, clips, with_plans

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """``half`` is wrong where both sounds together are weak, and with one alone."""
    save_bundle(with_plans({"half": biased(2.46)}), tmp_path / "two.mmedge")
    return tmp_path / "two.mmedge"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return clips(tmp_path / "data")


def test_every_plan_and_subset_is_printed(mmedge: Run, bundle: Path, data: Path) -> None:
    code, out, err = mmedge("eval", bundle, "--data", data)
    assert code == 0
    assert "samples ..." in err
    assert "12 clips" in out
    for word in ("half", "as given", "ant+bee", "accuracy", "F1", "ECE", "66.67", "MB", " ms"):
        assert word in out
    assert "simulated" not in out


def test_json_has_it_all(mmedge: Run, bundle: Path, data: Path) -> None:
    code, out, _ = mmedge("eval", bundle, "--data", data, "--by", "speaker", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["bundle"] == str(bundle)
    assert [plan["plan"] for plan in found["plans"]] == ["fp32", "half"]
    row = next(r for r in found["rows"] if (r["plan"], r["present"]) == ("half", "ant+bee"))
    assert row["metrics"]["accuracy"] == 0.5
    assert row["drop"]["value"] == 50.0
    assert row["classes"]["left"] == {"samples": 8, "precision": 1.0, "recall": 0.5, "f1": 0.666667}
    assert [(each["value"], each["over"]) for each in found["slices"]] == [
        ("ann", False),
        ("bob", False),
    ]


def test_a_plan_over_the_limit_ends_with_7_and_the_slices_are_named(
    mmedge: Run, bundle: Path, data: Path
) -> None:
    arguments = ("eval", bundle, "--data", data, "--by", "speaker", "--max-drop", 50)
    code, out, err = mmedge(*arguments)
    assert code == 7
    assert "over the limit of 50: speaker ann with half, side" in out
    assert "speaker bob with" not in out
    assert "half, side: accuracy drops by 66.67 points on 12 clips" in err
    code, out, _ = mmedge(*arguments, "--json")
    assert code == 7
    assert len(json.loads(out)["failures"]) == 1


def test_within_the_limit_it_ends_with_0_and_says_so_of_the_slices(
    mmedge: Run, tmp_path: Path, data: Path
) -> None:
    save_bundle(with_plans({"same": biased(0.0)}), tmp_path / "same.mmedge")
    code, out, _ = mmedge(
        *("eval", tmp_path / "same.mmedge", "--data", data, "--by", "speaker", "--max-drop", 30)
    )
    assert code == 0
    assert "no speaker is over the limit of 30" in out


def test_a_simulated_plan_is_called_so(mmedge: Run, tmp_path: Path, data: Path) -> None:
    save_bundle(with_plans({"low": biased(0.0)}, "tensorrt"), tmp_path / "low.mmedge")
    code, out, _ = mmedge("eval", tmp_path / "low.mmedge", "--data", data)
    assert code == 0
    assert "low (simulated)" in out
    assert "simulated: computed in float by ONNX Runtime" in out


def test_without_labels_it_says_what_the_numbers_are(
    mmedge: Run, bundle: Path, tmp_path: Path
) -> None:
    code, out, _ = mmedge("eval", bundle, "--data", clips(tmp_path / "data", labels={}))
    assert code == 0
    assert "drops are points of agreement" in out
    assert "There are no labels: a drop is how often a plan answers otherwise" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--plan", "nope"), "the bundle has no plan 'nope'"),
        (("--by", "nope"), "the clips have no column 'nope'"),
        (("--max-drop", 0), "must be a positive number of points"),
        (("--metric", "nope"), "no task of the model is judged by 'nope'"),
        (("--backend", "nope"), "nope"),
    ],
)
def test_what_cannot_be_meant_ends_with_2(
    mmedge: Run, bundle: Path, data: Path, arguments: tuple[object, ...], message: str
) -> None:
    code, out, err = mmedge("eval", bundle, "--data", data, *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_bad_data_ends_with_the_code_of_its_kind(mmedge: Run, bundle: Path, tmp_path: Path) -> None:
    assert mmedge("eval", bundle, "--data", tmp_path / "no.jsonl")[0] == 2
    code, _, err = mmedge("eval", bundle, "--data", clips(tmp_path / "a", labels={"side": "up"}))
    assert (code, "'up'" in err) == (3, True)
    code, _, err = mmedge("eval", bundle, "--data", clips(tmp_path / "b", ant="gone.wav"))
    assert (code, "12 of 12 clips cannot be read" in err) == (5, True)
