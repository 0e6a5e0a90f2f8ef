from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip(
    "transformers", reason="compares with the feature extractors of transformers"
)

from mmedge.models.log_mel import LogMelFrontEnd  # noqa: E402
from mmedge.specs.presets import ast_log_mel, clap_log_mel, whisper_log_mel  # noqa: E402
from tests.models.front_ends import exact, mel_time, signals  # noqa: E402

pytestmark = pytest.mark.models


@pytest.mark.parametrize("mels", [80, 128])
def test_whisper_sees_what_its_own_extractor_shows_it(mels: int) -> None:
    sounds = np.zeros((11, 480_000), np.float32)
    sounds[:, :160_000] = signals(160_000, 16_000)
    extractor = transformers.WhisperFeatureExtractor(feature_size=mels)
    theirs = extractor(list(sounds), sampling_rate=16_000, return_tensors="np")["input_features"]
    ours = LogMelFrontEnd(whisper_log_mel(mels), 16_000)(torch.from_numpy(sounds))
    assert ours.shape == (11, mels, 3000)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)


@pytest.mark.parametrize("fused", [False, True])
def test_clap_sees_what_its_own_extractor_shows_it(fused: bool) -> None:
    spec = clap_log_mel(fused=fused)
    sounds = signals(480_000, 48_000)
    extractor = transformers.ClapFeatureExtractor(truncation="fusion" if fused else "rand_trunc")
    theirs = extractor(list(sounds), sampling_rate=48_000, return_tensors="np")["input_features"]
    ours = LogMelFrontEnd(spec, 48_000)(torch.from_numpy(sounds)).numpy()
    assert ours.shape == (11, 1001, 64)
    difference = mel_time(spec, np.abs(ours - theirs[:, 0]))
    # Theirs is float64. In decibels float32 allows 1e-3 down to 47 dB below the loudest bin.
    _, allowed = exact(spec, 48_000, sounds)
    assert (difference / np.maximum(allowed, 1e-3)).max() <= 1
    # Which is nearly all of noise, and of sounds in a poor microphone's.
    assert np.quantile(difference[:5], 0.99) <= 1e-3


@pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")
def test_the_spectrogram_transformer_sees_what_its_own_extractor_shows_it() -> None:
    sounds = signals(164_080, 16_000)  # 10,255 ms: its 1,024 frames
    extractor = transformers.ASTFeatureExtractor()
    theirs = extractor(list(sounds), sampling_rate=16_000, return_tensors="np")["input_values"]
    ours = LogMelFrontEnd(ast_log_mel(), 16_000)(torch.from_numpy(sounds))
    assert ours.shape == (11, 1024, 128)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)
