from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mmedge.specs import (
    Classification,
    Image,
    LogMel,
    Matching,
    MultiLabel,
    Raw,
    Regression,
    Sound,
    Spec,
    TensorSpec,
    Text,
)

IMAGE = {"height": 8, "width": 8}
SOUND = {"rate_hz": 16_000, "window_ms": 1000, "hop_ms": 250}
MEL = LogMel(fft_size=400, hop=160)

REFUSED: list[tuple[type[Spec], dict[str, Any], str]] = [
    (Image, {**IMAGE, "height": 0}, "greater than or equal to 1"),
    (Image, {**IMAGE, "height": 8193}, "less than or equal to 8192"),
    (Image, {**IMAGE, "height": "8"}, "valid integer"),
    (Image, {**IMAGE, "height": 8.0}, "valid integer"),
    (Image, {**IMAGE, "hieght": 8}, "Extra inputs are not permitted"),
    (Image, {**IMAGE, "filter": "bilinear"}, "pillow-bilinear"),
    (Image, {**IMAGE, "mean": (0.5, 0.5)}, "mean has 2 values; give 1, or one for each of the 3"),
    (Image, {**IMAGE, "colour": "grey", "std": (1.0, 1.0, 1.0)}, "std has 3 values"),
    (Image, {**IMAGE, "std": (1.0, 0.0, 1.0)}, "must be positive: it divides"),
    (Image, {**IMAGE, "mean": (float("nan"),)}, "finite number"),
    (Image, {**IMAGE, "scale": float("inf")}, "finite number"),
    (Image, {**IMAGE, "shorter": 8, "fit": "stretch"}, "only means something with fit='cover'"),
    (Image, {**IMAGE, "shorter": 7}, "shorter=7 leaves less than the 8x8"),
    (Image, {**IMAGE, "centre": "transformers", "fit": "stretch"}, "centre only means something"),
    (Image, {**IMAGE, "fill": 256}, "less than or equal to 255"),
    (LogMel, {"fft_size": 256, "frame": 257}, "frame=257 does not fit into fft_size=256"),
    (LogMel, {"low_hz": 100.0, "high_hz": 100.0}, "must lie above low_hz"),
    (LogMel, {"power": 3}, "Input should be 1 or 2"),
    (LogMel, {"floor": 0.0}, "greater than or equal to 0.0000"),
    (LogMel, {"fft_size": 16_384}, "less than or equal to 8192"),
    (Sound, {**SOUND, "rate_hz": 44_100, "hop_ms": 5}, "hop_ms=5 at rate_hz=44100 is not a whole"),
    (Sound, {**SOUND, "hop_ms": 1001}, "hop_ms=1001 must lie in 1..1000"),
    (Sound, {**SOUND, "window_ms": 0}, "greater than or equal to 1"),
    (Sound, {**SOUND, "log_mel": LogMel(high_hz=8001.0)}, "lies above half of rate_hz=16000"),
    (
        Sound,
        {**SOUND, "window_ms": 10, "hop_ms": 10, "log_mel": LogMel(center=False)},
        "a window of 160 samples is shorter than one log-mel frame of 400",
    ),
    (Sound, {**SOUND, "window_ms": 10, "hop_ms": 10, "log_mel": MEL}, "center=True reflects 200"),
    (Sound, {**SOUND, "log_mel": MEL, "standardise": True}, "leave out log_mel"),
    (Text, {"tokenizer": "", "max_tokens": 8}, "at least 1 character"),
    (Text, {"tokenizer": "t.json", "max_tokens": 0}, "greater than or equal to 1"),
    (Classification, {"labels": ()}, "at least 1 item"),
    (Classification, {"labels": ("a", "b", "a")}, "these occur twice: ['a']"),
    (Classification, {"labels": ("a", "")}, "at least 1 character"),
    (Classification, {"labels": ("a",), "threshold": 1.5}, "less than or equal to 1"),
    (Classification, {"labels": ("a",), "temperature": 0.0}, "greater than 0"),
    (MultiLabel, {"labels": ("a", "b", "c"), "thresholds": (0.5, 0.5)}, "2 thresholds for 3"),
    (MultiLabel, {"labels": ("a",), "thresholds": (-0.1,)}, "must be probabilities"),
    (MultiLabel, {"labels": ("a", "a")}, "these occur twice: ['a']"),
    (Regression, {"names": ("x", "y"), "units": ("m",)}, "1 units for 2 names"),
    (Regression, {"names": ("x", "x"), "units": ("m", "m")}, "these occur twice: ['x']"),
    (TensorSpec, {"name": "x", "dtype": "float64", "shape": (1,)}, "float32"),
    (TensorSpec, {"name": "x", "dtype": "bool", "shape": ("rows",)}, "batch"),
    (TensorSpec, {"name": "x", "dtype": "bool", "shape": (1,) * 9}, "at most 8 items"),
]


@pytest.mark.parametrize(("kind", "fields", "words"), REFUSED)
def test_what_cannot_be_meant_is_refused_in_words(
    kind: type[Spec], fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        kind(**fields)
    assert words in str(caught.value)


def test_a_specification_cannot_be_changed() -> None:
    image = Image(height=8, width=8)
    with pytest.raises(ValidationError, match="frozen"):
        image.height = 9


def test_the_limits_themselves_are_allowed() -> None:
    assert Image(height=8192, width=1, shorter=8192).shorter == 8192
    assert Sound(rate_hz=16_000, window_ms=1000, hop_ms=1000).samples == 16_000
    assert MultiLabel(labels=("a", "b"), thresholds=(0.0, 1.0)).thresholds == (0.0, 1.0)


def test_a_grey_image_has_one_channel_and_the_others_three() -> None:
    channels = [Image(height=8, width=8, colour=c).channels for c in ("rgb", "bgr", "grey")]
    assert channels == [3, 3, 1]


def test_many_labels_are_checked_for_twins_without_naming_them() -> None:
    labels = tuple(map(str, range(2500)))
    assert len(Classification(labels=labels).labels) == 2500
    with pytest.raises(ValidationError, match="must differ"):
        Classification(labels=(*labels, "7"))


@pytest.mark.parametrize(
    ("spec", "frames"),
    [
        (MEL, 101),  # torch.stft, centred: 1 + 16000 // 160
        (LogMel(fft_size=400, hop=160, drop_last=True), 100),  # Whisper
        (LogMel(fft_size=512, frame=400, hop=160, center=False), 98),  # Kaldi: the window only
        (LogMel(fft_size=400, hop=160, center=False), 98),
    ],
)
def test_log_mel_frames_are_counted_as_their_makers_count_them(spec: LogMel, frames: int) -> None:
    assert spec.frames(16_000) == frames


@pytest.mark.parametrize(
    "spec",
    [
        Image(height=224, width=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        Sound(**SOUND, log_mel=MEL, downmix="mean"),
        Text(tokenizer="t.json", max_tokens=77, pad_id=1),
        Classification(labels=("yes", "no"), threshold=0.5),
        MultiLabel(labels=("yes", "no"), thresholds=(0.25, 0.75)),
        Regression(names=("x",), units=("m",), scale=2.0, offset=-1.0),
        Raw(shape=(8400, 4), axes=("box", "side"), unit="pixels"),
    ],
)
def test_a_specification_survives_json(spec: Spec) -> None:
    assert type(spec).model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shape": ()}, "at least 1 item"),
        ({"shape": (2, 0)}, "greater than or equal to 1"),
        ({"shape": (4097, 4096)}, "holds 16781312 numbers; the most is 16777216"),
        ({"shape": (1,) * 8}, "at most 7 items"),
        ({"shape": (2, 3), "axes": ("row",)}, "1 axes for 2 sizes: name each, or none"),
        ({"shape": (2, 3), "axes": ("row", "row")}, "must differ"),
        ({"shape": (2, 3), "axes": ("row", "two words")}, "should match pattern"),
    ],
)
def test_a_raw_tensor_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Raw(**fields)


def test_every_task_says_the_shape_of_its_output() -> None:
    assert Classification(labels=("a", "b", "c")).shape == (3,)
    assert MultiLabel(labels=("a", "b")).shape == (2,)
    assert Matching(between=("a", "b")).shape == (1,)
    assert Regression(names=("x",), units=("m",)).shape == (1,)
    assert Raw(shape=(4096, 4096)).shape == (4096, 4096)
