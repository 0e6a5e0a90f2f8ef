from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from mmedge.models import SoundCNN  # noqa: E402

pytestmark = pytest.mark.torch


def test_a_spectrogram_becomes_one_embedding() -> None:
    assert SoundCNN(40, 4, 24)(torch.zeros(3, 40, 101)).shape == (3, 24)


def test_mels_need_not_be_a_multiple_of_eight() -> None:
    assert SoundCNN(37, 4, 24)(torch.zeros(2, 37, 50)).shape == (2, 24)


def test_tokens_follow_time() -> None:
    torch.manual_seed(0)
    model = SoundCNN(40, 4, 24, tokens=True).eval()
    mel = torch.zeros(1, 40, 104)
    changed = mel.clone()
    changed[:, :, 64:72] = 3.0
    difference = (model(changed) - model(mel)).abs().amax(dim=2)[0]
    # A token sees at most twice its own eight frames on either side.
    assert difference.nonzero().flatten().tolist() == [7, 8, 9, 10]


def test_the_same_sound_in_another_band_is_another_embedding() -> None:
    torch.manual_seed(0)
    model = SoundCNN(40, 4, 24).eval()
    low, high = torch.zeros(2, 1, 40, 64)
    low[:, 8:16], high[:, 24:32] = 2.0, 2.0
    assert (model(low) - model(high)).abs().max() > 0.05
