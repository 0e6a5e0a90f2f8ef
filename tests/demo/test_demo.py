"""The whole way on the shipped model, and what its figures have to show."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mmedge import Predictor, open_bundle
from mmedge.demo import run_demo
from mmedge.demo.run import BUNDLE, EXCERPT, HERE, labelled_samples
from mmedge.errors import ConfigError
from mmedge.runtime.prediction import Prediction

PAIRS = ("camera+mic", "camera+hint", "mic+hint")


@pytest.fixture(scope="module")
def mean() -> dict[str, Any]:
    report = json.loads((HERE / "training.json").read_text(encoding="utf-8"))
    assert len(report["seeds"]) == 3
    found: dict[str, Any] = report["mean"]
    return found


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "torch" else real(name, *rest),
    )


@pytest.mark.usefixtures("without_torch")
def test_without_torch_the_demo_says_so_and_uses_the_shipped_bundle(tmp_path: Path) -> None:
    result = run_demo(tmp_path / "out")
    assert result.notes[0].startswith("torch")
    assert "not installed: the shipped bundle was used instead of an export" in result.notes[0]
    assert open_bundle(result.bundle).digest == open_bundle(BUNDLE).digest
    assert result.parity.passed
    assert [row.present for row in result.accuracy][:2] == ["camera+mic+hint", "camera+mic"]
    with Image.open(result.picture) as picture:
        assert picture.width >= 1200
    assert json.loads(json.dumps(result.to_json()))["parity"]["passed"] is True


@pytest.mark.torch
def test_with_torch_the_demo_exports_and_proves_its_own_bundle(tmp_path: Path) -> None:
    stages: list[str] = []
    result = run_demo(tmp_path, stages.append)
    assert result.notes == ()
    assert stages[:2] == ["weights", "samples"]
    assert result.parity.passed
    shipped, made = open_bundle(BUNDLE).manifest, open_bundle(result.bundle).manifest
    assert made.weights_sha256 == shipped.weights_sha256


def test_a_file_where_the_folder_should_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ConfigError, match="cannot be made a folder"):
        run_demo(tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_over_three_seeds_every_pair_beats_its_best_single_and_all_three_beat_every_pair(
    mean: dict[str, Any],
) -> None:
    accuracy = mean["test"]["accuracy"]
    for pair in PAIRS:
        assert accuracy[pair] > max(accuracy[name] for name in pair.split("+")), pair
    assert all(accuracy["camera+mic+hint"] > accuracy[pair] for pair in PAIRS)


def test_over_three_seeds_clean_sound_is_understood_at_least_as_well_as_noisy(
    mean: dict[str, Any],
) -> None:
    assert mean["test"]["mic_clean"] >= mean["test"]["mic_noisy"]


def test_noise_put_into_one_modality_lowers_its_share_in_four_of_five_samples() -> None:
    generator = np.random.default_rng(0)
    with Predictor.open(BUNDLE) as predictor:
        samples = [raw for raw, _ in labelled_samples(predictor, EXCERPT)]
        for name in ("camera", "mic"):
            noisy = [{**raw, name: drowned(raw[name], generator)} for raw in samples]
            before, after = (
                share(predictor.predict_batch(some), name) for some in (samples, noisy)
            )
            assert (after < before).mean() >= 0.8, name


def share(predictions: list[Prediction], name: str) -> NDArray[np.float64]:
    """How much of all that was contributed, for or against, is this modality's."""
    found = [prediction.tasks["digit"].contributions for prediction in predictions]
    return np.array([abs(each[name]) / sum(map(abs, each.values())) for each in found])


def drowned(raw: NDArray[Any], generator: np.random.Generator) -> NDArray[Any]:
    """White noise at the signal's own level and more: next to nothing is left to recognise.

    A picture is made nine times smaller before the model sees it, and its noise three times
    weaker: with a deviation of 120 more than half of the digits were still recognised.
    """
    if raw.dtype == np.float32:
        return (raw + generator.normal(0, 0.3, raw.shape)).clip(-1, 1).astype(np.float32)
    return (raw + generator.normal(0, 250, raw.shape)).clip(0, 255).astype(np.uint8)
