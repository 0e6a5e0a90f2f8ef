"""Sound: channels, rate and length."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soxr

from mmedge.errors import ConfigError
from mmedge.runtime.preprocess import Pcm, SoundPreprocessor, make_preprocessor
from mmedge.runtime.preprocess.sound import conform, conform_blocks
from mmedge.specs import Sound

MONO = Sound(rate_hz=1000, window_ms=10, hop_ms=5)
STEREO = Sound(rate_hz=1000, window_ms=10, hop_ms=5, channels=2)


def noise(*shape: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def prepare(spec: Sound, raw: Any) -> npt.NDArray[np.float32]:
    out = make_preprocessor("mic", spec)(raw)["samples"]
    assert out.dtype == np.float32
    assert out.flags.c_contiguous
    return out


def test_a_whole_window_passes_unchanged() -> None:
    raw = noise(10)
    assert np.array_equal(prepare(MONO, raw), raw)
    assert np.array_equal(prepare(MONO, raw[np.newaxis]), raw)
    assert np.array_equal(prepare(MONO, Pcm(raw, 1000)), raw)
    assert not np.shares_memory(prepare(MONO, raw), raw)


def test_several_channels_keep_their_axis() -> None:
    raw = noise(2, 10)
    assert np.array_equal(prepare(STEREO, raw), raw)


def test_a_short_sound_is_followed_by_silence() -> None:
    out = prepare(MONO, np.ones(4, np.float32))
    assert out.tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]


def test_a_long_sound_is_refused_with_the_length_of_the_window() -> None:
    with pytest.raises(ConfigError, match=r"11 samples .* more than one window of 10 \(10 ms\)"):
        prepare(MONO, noise(11))


def test_downmix_is_what_the_recipe_says() -> None:
    raw = np.array([[1.0] * 10, [0.5] * 10], np.float32)
    mean = MONO.model_copy(update={"downmix": "mean"})
    first = MONO.model_copy(update={"downmix": "first"})
    assert prepare(mean, raw).tolist() == [0.75] * 10
    assert prepare(first, raw).tolist() == [1.0] * 10


def test_stereo_is_refused_where_mono_is_wanted_and_nothing_says_how() -> None:
    with pytest.raises(ConfigError, match=r"takes 1 channel.* has 2; .*downmix='mean'"):
        prepare(MONO, noise(2, 10))


def test_mono_is_refused_where_stereo_is_wanted() -> None:
    with pytest.raises(ConfigError, match="takes 2 channels, but the sound has 1"):
        prepare(STEREO, noise(10))


def test_more_channels_are_refused_where_stereo_is_wanted() -> None:
    with pytest.raises(ConfigError, match=r"takes 2 channel\(s\), but the sound has 3; give it"):
        prepare(STEREO, noise(3, 10))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    raw = noise(10)
    raw[3] = bad
    with pytest.raises(ConfigError, match="NaN or an infinity"):
        prepare(MONO, raw)


def test_an_empty_sound_is_an_absent_one() -> None:
    with pytest.raises(ConfigError, match="leave it out"):
        prepare(MONO, np.zeros(0, np.float32))


@pytest.mark.parametrize(
    ("raw", "came"),
    [
        (np.zeros(10, np.int16), r"int16\[10\]"),
        (np.zeros(10, np.float64), r"float64\[10\]"),
        (np.zeros((1, 1, 10), np.float32), r"float32\[1, 1, 10\]"),
        (np.zeros((0, 10), np.float32), r"float32\[0, 10\]"),
        (np.float32(1), "float32"),
        ([0.0], "list"),
    ],
)
def test_another_type_is_refused(raw: Any, came: str) -> None:
    with pytest.raises(ConfigError, match=f"but got {came}"):
        prepare(MONO, raw)


def test_integers_are_refused_with_the_scaling_to_do() -> None:
    with pytest.raises(ConfigError, match=r"astype\(np.float32\) / 32768"):
        Pcm(np.zeros(10, np.int16), 1000)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate_hz", [0, -1, 16000.0, True, None])
def test_a_rate_that_is_none_is_refused(rate_hz: Any) -> None:
    with pytest.raises(ConfigError, match="rate_hz"):
        Pcm(noise(10), rate_hz)


def test_pcm_knows_its_length_and_channels() -> None:
    assert Pcm(noise(8000), 16000).duration_ns == 500_000_000
    assert Pcm(noise(8000), 16000).channels == 1
    assert Pcm(noise(3, 8000), 16000).channels == 3


@pytest.mark.parametrize("rate_hz", [8000, 44100, 48000, 11025])
def test_another_rate_is_resampled_as_soxr_does_at_high_quality(rate_hz: int) -> None:
    spec = Sound(rate_hz=16000, window_ms=1000, hop_ms=250)
    raw = noise(rate_hz)
    expected = soxr.resample(raw, rate_hz, 16000, quality="HQ")
    assert expected.shape == (16000,)
    assert np.array_equal(prepare(spec, Pcm(raw, rate_hz)), expected)


def test_channels_are_resampled_each_for_itself() -> None:
    spec = Sound(rate_hz=16000, window_ms=100, hop_ms=50, channels=2)
    raw = noise(2, 4410)
    out = prepare(spec, Pcm(raw, 44100))
    assert np.array_equal(out[1], soxr.resample(raw[1], 44100, 16000, quality="HQ"))


def test_what_fits_into_the_window_in_time_fits_after_resampling() -> None:
    # 250 ms at 11,025 Hz is 2,756.25 samples, which is 3,999.6 at 16 kHz.
    spec = Sound(rate_hz=16000, window_ms=250, hop_ms=250)
    assert prepare(spec, Pcm(noise(2756), 11025)).shape == (4000,)


@pytest.mark.parametrize("block", [1, 7, 441, 5000])
def test_blocks_join_to_the_same_bits(block: int) -> None:
    spec = Sound(rate_hz=16000, window_ms=100, hop_ms=50, downmix="mean")
    raw = noise(2, 3000)
    pieces = [Pcm(raw[:, at : at + block], 44100) for at in range(0, 3000, block)]
    joined = np.concatenate(list(conform_blocks(pieces, spec, "mic")), axis=1)
    assert np.array_equal(joined, conform(Pcm(raw, 44100), spec, "mic"))


def test_a_rate_that_changes_on_the_way_is_refused() -> None:
    blocks = [Pcm(noise(10), 1000), Pcm(noise(10), 2000)]
    with pytest.raises(ConfigError, match="changes from 1000 to 2000 Hz"):
        list(conform_blocks(blocks, MONO, "mic"))


def test_a_preprocessor_keeps_nothing_between_calls() -> None:
    prepare_one = SoundPreprocessor("mic", Sound(rate_hz=16000, window_ms=100, hop_ms=50))
    raw = Pcm(noise(4410), 44100)
    first = prepare_one(raw)["samples"].copy()
    prepare_one(Pcm(-noise(4410), 44100))
    assert np.array_equal(prepare_one(raw)["samples"], first)
