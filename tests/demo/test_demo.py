"""The whole way on the shipped model, and what its figures have to show."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmedge import Predictor, open_bundle
from mmedge.demo import run_demo
from mmedge.demo.run import BUNDLE, EXCERPT, HERE, labelled_samples
from mmedge.errors import ConfigError
from mmedge.runtime.preprocess import Pcm

REPORT = json.loads((HERE / "training.json").read_text(encoding="utf-8"))
SINGLES = ("camera", "mic", "hint")
PAIRS = ("camera+mic", "camera+hint", "mic+hint")


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
    assert result.notes[0].startswith("torch not installed: the shipped bundle was used")
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


def test_over_three_seeds_every_pair_beats_its_best_single_and_all_three_beat_every_pair() -> None:
    mean = REPORT["mean"]["accuracy"]
    assert len(REPORT["seeds"]) == 3
    for pair in PAIRS:
        assert mean[pair] > max(mean[name] for name in pair.split("+")), pair
    assert all(mean["camera+mic+hint"] > mean[pair] for pair in PAIRS)


def test_over_three_seeds_clean_sound_is_understood_at_least_as_well_as_noisy() -> None:
    assert REPORT["mean"]["mic_clean"] >= REPORT["mean"]["mic_noisy"]


def test_noise_put_into_one_modality_lowers_its_share_in_four_of_five_samples() -> None:
    generator = np.random.default_rng(0)
    with Predictor.open(BUNDLE) as predictor:
        samples = [raw for raw, _ in labelled_samples(predictor, EXCERPT)]
        for name in ("camera", "mic"):
            noisy = [{**raw, name: spoiled(raw[name], generator)} for raw in samples]
            before, after = (
                np.array(
                    [p.tasks["digit"].contributions[name] for p in predictor.predict_batch(some)]
                )
                for some in (samples, noisy)
            )
            assert (after < before).mean() >= 0.8, name


def spoiled(raw: np.ndarray | Pcm, generator: np.random.Generator) -> np.ndarray | Pcm:
    """White noise at the signal's own level and more: nothing is left to recognise."""
    if isinstance(raw, Pcm):
        noise = generator.normal(0, 0.3, raw.samples.shape)
        return Pcm(np.clip(raw.samples + noise, -1, 1).astype(np.float32), raw.rate_hz)
    return np.clip(raw + generator.normal(0, 120, raw.shape), 0, 255).astype(np.uint8)
