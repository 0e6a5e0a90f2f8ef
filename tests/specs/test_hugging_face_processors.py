"""What is read from a file shows an encoder what transformers' own processor shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

torch = pytest.importorskip("torch")
transformers = pytest.importorskip(
    "transformers", reason="compares with the processors of transformers"
)

import mmedge  # noqa: E402
from mmedge import image_from_hugging_face, sound_from_hugging_face  # noqa: E402
from mmedge.models import LogMelFrontEnd, NormaliseFrontEnd, StandardiseWindow  # noqa: E402
from mmedge.runtime.clips import read_sound  # noqa: E402
from mmedge.runtime.preprocess import make_preprocessor  # noqa: E402
from mmedge.runtime.preprocess.sound import conform  # noqa: E402

pytestmark = pytest.mark.models

PROCESSORS: list[tuple[str, dict[str, Any]]] = [
    ("ViTImageProcessor", {}),
    ("CLIPImageProcessor", {}),
    ("BitImageProcessor", {"size": {"shortest_edge": 255}}),  # odd margins
    ("ChineseCLIPImageProcessor", {}),
    ("SiglipImageProcessor", {"resample": 5}),
    ("BlipImageProcessor", {"resample": 4}),
    ("PvtImageProcessor", {"do_rescale": False}),
    ("DeiTImageProcessor", {"do_center_crop": False}),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 224}}),
    ("ConvNextImageProcessor", {}),
    ("EfficientNetImageProcessor", {}),
    ("EfficientNetImageProcessor", {"rescale_offset": True, "rescale_factor": 1 / 127.5}),
    ("EfficientNetImageProcessor", {"do_normalize": False}),
    ("MobileNetV1ImageProcessor", {}),
    ("MobileNetV2ImageProcessor", {"resample": 1}),
    ("MobileViTImageProcessor", {"size": {"shortest_edge": 288}}),
]


@pytest.mark.parametrize(("name", "changes"), PROCESSORS)
@pytest.mark.parametrize("picture", ["chelsea.png", "coffee.png", "rocket.jpg"])
def test_a_photograph_looks_the_same(
    name: str, changes: dict[str, Any], picture: str, tmp_path: Path
) -> None:
    skimage = pytest.importorskip("skimage", reason="tests/models-requirements.txt")
    with Pillow.open(Path(skimage.__file__).parent / "data" / picture) as opened:
        photo = opened.convert("RGB")
    # The one that resizes by Pillow; the other needs torchvision.
    processor = getattr(transformers, f"{name}Pil")(**changes)
    processor.save_pretrained(tmp_path)
    theirs = processor(photo, return_tensors="np")["pixel_values"]
    spec = image_from_hugging_face(tmp_path)
    frames = make_preprocessor("photo", spec, None)(np.asarray(photo))["frames"]
    ours = NormaliseFrontEnd(spec)(torch.from_numpy(frames[None])).numpy()
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


EXTRACTORS: list[tuple[str, dict[str, Any], dict[str, int]]] = [
    ("WhisperFeatureExtractor", {"chunk_length": 4}, {}),
    ("WhisperFeatureExtractor", {"chunk_length": 4, "feature_size": 128, "n_fft": 512}, {}),
    ("ASTFeatureExtractor", {"max_length": 400}, {}),
    ("ASTFeatureExtractor", {"max_length": 400, "do_normalize": False, "num_mel_bins": 64}, {}),
    ("ClapFeatureExtractor", {"max_length_s": 4, "truncation": "rand_trunc"}, {}),
    ("ClapFeatureExtractor", {"max_length_s": 4, "frequency_min": 50, "hop_length": 512}, {}),
    ("Wav2Vec2FeatureExtractor", {}, {"window_ms": 4_000}),
    ("Wav2Vec2FeatureExtractor", {"do_normalize": False}, {"window_ms": 4_000}),
]


@pytest.mark.parametrize(("name", "changes", "options"), EXTRACTORS)
@pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")
def test_speech_sounds_the_same(
    name: str, changes: dict[str, Any], options: dict[str, int], tmp_path: Path
) -> None:
    extractor = getattr(transformers, name)(**changes)
    extractor.save_pretrained(tmp_path)
    spec = sound_from_hugging_face(tmp_path, **options)
    excerpt = Path(mmedge.__file__).parent / "demo" / "data" / "mic"
    words = [read_sound(excerpt / f"{number:03d}.wav") for number in range(5)]
    samples = np.concatenate([conform(word, spec, "mic")[0] for word in words])
    samples = samples[: spec.samples].astype(np.float32)
    assert len(samples) == spec.samples
    # The recordings end at 4 kHz; above, float32 would be compared with its own rounding.
    samples += 1e-3 * np.random.default_rng(3).standard_normal(len(samples), np.float32)
    theirs = extractor(samples, sampling_rate=spec.rate_hz, return_tensors="np")
    theirs = theirs.get("input_features", theirs.get("input_values"))
    heard = torch.from_numpy(samples[None])
    if spec.log_mel is not None:
        ours = LogMelFrontEnd(spec.log_mel, spec.rate_hz)(heard).numpy()
        theirs = theirs[:, 0] if theirs.ndim == 4 else theirs
    else:
        ours = (StandardiseWindow()(heard) if spec.standardise else heard).numpy()
    assert ours.shape == theirs.shape
    # CLAP's are decibels: 1e-3 there is a ten-thousandth in power.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-2 if "Clap" in name else 1e-3)
