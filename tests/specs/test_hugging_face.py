"""A model's ``preprocessor_config.json`` becomes a specification, or is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmedge import Image, Sound, image_from_hugging_face, sound_from_hugging_face
from mmedge.errors import ConfigError
from mmedge.specs.presets import ast_log_mel, clap_log_mel, whisper_log_mel

Config = dict[str, Any]
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
VIT = {"image_processor_type": "ViTImageProcessor", "size": 224, "resample": 2, **HALF}
CLIP: Config = {
    "feature_extractor_type": "CLIPFeatureExtractor",  # as published in 2021
    "size": 224,
    "resample": 3,
    "do_resize": True,
    "do_center_crop": True,
    "crop_size": 224,
    "do_normalize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
CONVNEXT = {"image_processor_type": "ConvNextImageProcessor", "resample": 3, **HALF}
WHISPER = {"feature_extractor_type": "WhisperFeatureExtractor"}
AST = {"feature_extractor_type": "ASTFeatureExtractor"}
CLAP = {"feature_extractor_type": "ClapFeatureExtractor"}
RAW = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 16_000}


def written(folder: Path, config: object, name: str = "preprocessor_config.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


PICTURES: list[tuple[Config, Image]] = [
    (
        VIT,
        Image(
            height=224,
            width=224,
            fit="stretch",
            filter="pillow-bilinear",
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
        ),
    ),
    (
        CLIP,
        Image(
            height=224,
            width=224,
            shorter=224,
            filter="pillow-bicubic",
            centre="transformers",
            mean=(0.48145466, 0.4578275, 0.40821073),
            std=(0.26862954, 0.26130258, 0.27577711),
        ),
    ),
    (
        {
            "image_processor_type": "BitImageProcessorFast",  # DINOv2
            "size": {"shortest_edge": 256, "height": None},
            "crop_size": {"height": 224, "width": 192},
            "resample": 1,
            "do_rescale": False,
            "do_normalize": False,
            "device": None,
        },
        Image(
            height=224,
            width=192,
            shorter=256,
            filter="pillow-lanczos",
            centre="transformers",
            scale=1.0,
        ),
    ),
    (
        {**CONVNEXT, "size": {"shortest_edge": 224}, "crop_pct": 0.875},
        Image(
            height=224,
            width=224,
            shorter=256,
            filter="pillow-bicubic",
            centre="transformers",
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
        ),
    ),
    (
        {**CONVNEXT, "size": {"shortest_edge": 384}},
        Image(
            height=384,
            width=384,
            fit="stretch",
            filter="pillow-bicubic",
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
        ),
    ),
    (
        {
            "image_processor_type": "EfficientNetImageProcessor",
            "size": {"height": 224, "width": 200},
            "resample": 0,
            "rescale_factor": 1 / 127.5,
            "rescale_offset": True,
            "include_top": True,
            "image_mean": [0, 0, 0],
            "image_std": [0.5, 0.25, 0.5],
        },
        Image(
            height=224,
            width=200,
            fit="stretch",
            filter="pillow-nearest",
            scale=1 / 127.5,
            mean=(1.0, 1.0, 1.0),
            std=(0.25, 0.0625, 0.25),
        ),
    ),
    (
        {
            "image_processor_type": "MobileViTImageProcessor",
            "size": {"shortest_edge": 288},
            "crop_size": {"height": 256, "width": 256},
        },
        Image(height=256, width=256, shorter=288, centre="transformers", colour="bgr"),
    ),
]


@pytest.mark.parametrize(("config", "expected"), PICTURES)
def test_an_image_processor_is_read(config: Config, expected: Image, tmp_path: Path) -> None:
    written(tmp_path, config)
    assert image_from_hugging_face(tmp_path) == expected


def test_a_file_that_holds_several_processors_is_read_too(tmp_path: Path) -> None:
    several = {"image_processor": VIT, "feature_extractor": WHISPER}
    written(tmp_path, several, "processor_config.json")
    assert image_from_hugging_face(tmp_path).height == 224
    assert sound_from_hugging_face(tmp_path).window_ms == 30_000


REFUSED_PICTURES: list[tuple[Config, str]] = [
    ({"size": 224}, "the image processor '' is not one of BitImageProcessor"),
    ({**VIT, "image_processor_type": "PixtralImageProcessor"}, "'PixtralImageProcessor' is not"),
    ({**VIT, "auto_map": {"AutoImageProcessor": "theirs.py"}}, "'ViTImageProcessor' is not"),
    ({**VIT, "do_resize": False}, "as large as they come"),
    ({**VIT, "do_pad": True}, "pictures are padded"),
    ({**VIT, "resample": 9}, "resample=9 is none of Pillow's filters"),
    ({**VIT, "size": {"longest_edge": 224}}, "is no fixed size"),
    ({**VIT, "size": {"shortest_edge": 224, "longest_edge": 512}}, "is no fixed size"),
    ({**CLIP, "do_center_crop": False}, "no cut, pictures keep their shape"),
    ({**CLIP, "crop_size": None}, "do_center_crop is true without a crop_size"),
    ({**CLIP, "crop_size": 256}, "shorter=224 leaves less than the 256x256"),
    (
        {**VIT, "image_processor_type": "DeiTImageProcessor", "size": 256, "crop_size": 224},
        "stretched to {'height': 256, 'width': 256} and then cut",
    ),
    ({**VIT, "image_mean": None}, "image_mean or image_std is missing"),
    ({**VIT, "image_std": [0.5, 0.5]}, "std has 2 values"),
    ({**VIT, "image_std": [0.5, 0.0, 0.5]}, "must be positive"),
    ({**VIT, "size": "large"}, "size.int: Input should be a valid integer"),
    ({**CONVNEXT, "size": 224, "crop_pct": 0}, "crop_pct: Input should be greater than 0"),
    ({**VIT, "size": 100_000}, "height: Input should be less than or equal to 8192"),
]


@pytest.mark.parametrize(("config", "reason"), REFUSED_PICTURES)
def test_what_an_image_cannot_say_is_refused(config: Config, reason: str, tmp_path: Path) -> None:
    path = written(tmp_path, config)
    with pytest.raises(ConfigError) as caught:
        image_from_hugging_face(path)
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)


SOUNDS: list[tuple[Config, Config, Sound]] = [
    (
        WHISPER,
        {"hop_ms": 1_000},
        Sound(
            rate_hz=16_000,
            window_ms=30_000,
            hop_ms=1_000,
            log_mel=whisper_log_mel().model_copy(update={"high_hz": 8000.0}),
        ),
    ),
    (
        {**WHISPER, "feature_size": 128, "chunk_length": 8, "mel_filters": [[0.0]]},
        {"window_ms": 8_000},
        Sound(
            rate_hz=16_000,
            window_ms=8_000,
            hop_ms=8_000,
            log_mel=whisper_log_mel(128).model_copy(update={"high_hz": 8000.0}),
        ),
    ),
    (
        {**AST, "max_length": 1024, "mean": -4.5, "std": 3.0},
        {},
        Sound(
            rate_hz=16_000, window_ms=10_255, hop_ms=10_255, log_mel=ast_log_mel(mean=-4.5, std=3.0)
        ),
    ),
    (
        {**AST, "do_normalize": False, "max_length": 128},
        {},
        Sound(
            rate_hz=16_000, window_ms=1_295, hop_ms=1_295, log_mel=ast_log_mel(mean=0.0, std=0.5)
        ),
    ),
    (
        {**CLAP, "truncation": "rand_trunc", "frequency_min": 50, "top_db": None},
        {},
        Sound(
            rate_hz=48_000,
            window_ms=10_000,
            hop_ms=10_000,
            log_mel=clap_log_mel().model_copy(update={"low_hz": 50.0}),
        ),
    ),
    (
        CLAP,
        {},
        Sound(rate_hz=48_000, window_ms=10_000, hop_ms=10_000, log_mel=clap_log_mel(fused=True)),
    ),
    (
        {**RAW, "do_normalize": True},
        {"window_ms": 2_000, "hop_ms": 500},
        Sound(rate_hz=16_000, window_ms=2_000, hop_ms=500, standardise=True),
    ),
    (
        {**RAW, "do_normalize": False},
        {"window_ms": 2_000},
        Sound(rate_hz=16_000, window_ms=2_000, hop_ms=2_000),
    ),
]


@pytest.mark.parametrize(("config", "options", "expected"), SOUNDS)
def test_a_feature_extractor_is_read(
    config: Config, options: dict[str, int], expected: Sound, tmp_path: Path
) -> None:
    assert sound_from_hugging_face(written(tmp_path, config), **options) == expected


REFUSED_SOUNDS: list[tuple[Config, Config, str]] = [
    ({"feature_extractor_type": "EncodecFeatureExtractor"}, {}, "'EncodecFeatureExtractor' is not"),
    (VIT, {}, "the feature extractor '' is not one of WhisperFeatureExtractor"),
    ({**WHISPER, "dither": 0.1}, {}, "adds random noise"),
    ({**WHISPER, "feature_size": 0}, {}, "mels: Input should be greater than or equal to 1"),
    (WHISPER, {"window_ms": 5_000}, "by .* the model takes 30000 ms"),
    (WHISPER, {"hop_ms": 40_000}, "hop_ms=40000 must lie in 1..30000"),
    ({**AST, "sampling_rate": 32_000}, {}, "only 16000 has one meaning"),
    ({**AST, "std": 0.0}, {}, "std: Input should be greater than 0"),
    ({**CLAP, "top_db": 80}, {}, "top_db=80"),
    (RAW, {}, "does not say how long a window is; give window_ms"),
    ({**RAW, "feature_size": 80}, {}, "feature_size=80 is not one channel"),
]


@pytest.mark.parametrize(("config", "options", "reason"), REFUSED_SOUNDS)
def test_what_a_sound_cannot_say_is_refused(
    config: Config, options: dict[str, int], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=reason):
        sound_from_hugging_face(written(tmp_path, config), **options)


def test_a_file_that_is_none_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*config\.json: No such file"):
        image_from_hugging_face(tmp_path)
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not JSON"):
        image_from_hugging_face(tmp_path / "broken.json")
    with pytest.raises(ConfigError, match="holds no settings, but a list"):
        image_from_hugging_face(written(tmp_path, [1]))
    with pytest.raises(ConfigError, match="larger than 1000000 bytes: no such file is"):
        image_from_hugging_face(written(tmp_path, "x" * 1_000_001))
