from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmedge.runtime.pipeline.encoding import EncodingStage
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.preprocess import Picture
from mmedge.runtime.quality import make_watch
from mmedge.runtime.rings import Window
from mmedge.specs import Image, ImageQuality, Signal, Sound, SoundQuality
from tests.fakes import linear_bundle

MS = 1_000_000
CAMERA = Image(height=32, width=32)
MIC = Sound(rate_hz=16_000, window_ms=500, hop_ms=250)


def window(raw: Any, end_ms: int = 0, **changes: Any) -> Window:
    told = {"raw": raw, "begin_ns": end_ms * MS, "end_ns": end_ms * MS, "place": (1,)}
    return Window(**{**told, **changes})


def room(seed: int = 0) -> Picture:
    """A photograph of nothing: noise around grey."""
    noise = np.random.default_rng(seed).normal(120, 40, (480, 640, 3))
    return Picture(noise.clip(0, 255).astype(np.uint8))


def grey(level: int) -> Picture:
    return Picture(np.full((480, 640, 3), level, np.uint8))


def tone(amplitude: float) -> Any:
    return (amplitude * np.sin(np.arange(8_000) * 0.2)).astype(np.float32)


def test_a_good_picture_and_a_good_sound_have_no_complaint() -> None:
    assert make_watch(CAMERA)(window(room())) == ()
    assert make_watch(MIC)(window(tone(0.1))) == ()


def test_a_lens_that_is_covered_in_the_light_and_one_in_the_dark() -> None:
    watch = make_watch(CAMERA)
    assert watch(window(grey(120), 0)) == ("covered",)
    assert watch(window(grey(0), 100)) == ("dark", "covered")
    dim = Picture((room().pixels // 20).astype(np.uint8))
    assert watch(window(dim, 200)) == ("dark",)


def test_a_picture_that_stands_still_is_frozen_after_its_time_and_no_longer() -> None:
    watch = make_watch(CAMERA)
    told = [watch(window(room(), end_ms)) for end_ms in range(0, 3_001, 500)]
    assert told == [(), (), (), (), ("frozen",), ("frozen",), ("frozen",)]
    assert watch(window(room(1), 3_500)) == ()
    assert watch(window(room(1), 5_000)) == ()
    assert watch(window(room(1), 5_500)) == ("frozen",)
    assert watch(window(room(1), 6_000, reset="opened again")) == ()


def test_of_a_clip_the_newest_picture_counts() -> None:
    clip = np.stack([grey(0).pixels, room().pixels])
    assert (
        make_watch(Image(height=32, width=32, frames=2, stride_ms=40))(window(Picture(clip))) == ()
    )
    assert make_watch(CAMERA)(window(Picture(clip[::-1]))) == ("dark", "covered")


def test_silence_and_clipping_are_heard() -> None:
    watch = make_watch(MIC)
    assert watch(window(np.zeros(8_000, np.float32))) == ("silent",)
    assert watch(window(tone(0.0003))) == ("silent",)  # -73.5 dB of full scale
    assert watch(window(tone(0.0006))) == ()  # -67.4 dB
    assert watch(window(tone(3.0).clip(-1, 1))) == ("clipped",)
    two = np.stack([tone(0.1), np.zeros(8_000, np.float32)])
    assert make_watch(MIC.model_copy(update={"channels": 2}))(window(two)) == ()


def test_a_rate_that_is_not_the_promised_one_is_said_once_it_is_known() -> None:
    watch = make_watch(MIC)
    assert watch(window(tone(0.1), rate_ppm=float("nan"))) == ()
    assert watch(window(tone(0.1), rate_ppm=-1_999.0)) == ()
    assert watch(window(tone(0.1), rate_ppm=-2_001.0)) == ("wrong rate",)


def test_the_limits_are_those_of_the_modality() -> None:
    strict = CAMERA.model_copy(update={"quality": ImageQuality(dark=200.0)})
    assert make_watch(strict)(window(room())) == ("dark",)
    deaf = MIC.model_copy(update={"quality": SoundQuality(silent_dbfs=-10.0)})
    assert make_watch(deaf)(window(tone(0.1))) == ("silent",)


def test_texts_and_signals_are_not_judged() -> None:
    signal = Signal(channels=1, rate_hz=10, window_ms=100, hop_ms=100)
    assert make_watch(signal)(window(np.zeros((1, 1), np.float32))) == ()


@pytest.mark.parametrize("policy", ["warn", "absent"])
def test_a_spoiled_input_is_warned_of_or_left_out_as_the_bundle_says(policy: Any) -> None:
    bundle = linear_bundle(1)
    quiet = bundle.manifest.modalities["ant"].model_copy(
        update={"quality": SoundQuality(policy=policy)}
    )
    manifest = bundle.manifest.model_copy(update={"modalities": {"ant": quiet}})
    with Predictor(type(bundle).in_memory(manifest, dict(bundle.files))) as predictor:
        made = EncodingStage("ant", predictor)(window(np.zeros(2, np.float32)))
    assert made.complaints == ("silent",)
    if policy == "absent":
        assert (made.absent, made.arrays) == ("spoiled: silent", {})
    else:
        assert (made.absent, set(made.arrays)) == ("", {"ant"})
