from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from mmedge.models import mask_spectrogram, warp_bands  # noqa: E402

pytestmark = pytest.mark.torch


def test_masking_blanks_whole_stripes_with_the_rows_smallest_value() -> None:
    mel = torch.rand(200, 40, 100, generator=torch.Generator().manual_seed(0)) + 1
    masked = mask_spectrogram(mel, bands=8, frames=20, generator=torch.Generator().manual_seed(1))
    hit = masked != mel
    assert torch.equal(masked[hit], mel.amin(dim=(1, 2), keepdim=True).expand_as(mel)[hit])
    bands = (hit.float().mean(dim=2) > 0.99).sum(dim=1)
    frames = (hit.float().mean(dim=1) > 0.97).sum(dim=1)
    assert 2 < bands.float().mean() < 5
    assert 7 < frames.float().mean() < 12
    assert bands.max() <= 8
    assert frames.max() <= 20


def test_masking_is_repeatable_and_leaves_its_input_alone() -> None:
    mel = torch.rand(4, 10, 12)
    before = mel.clone()
    first, second = (
        mask_spectrogram(mel, 4, 4, torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert torch.equal(first, second)
    assert torch.equal(mel, before)
    assert not torch.equal(first, mel)


def test_warping_by_nothing_changes_nothing() -> None:
    mel = torch.rand(3, 10, 4)
    torch.testing.assert_close(warp_bands(mel, 0.0), mel)


def test_warping_scales_the_mel_axis_by_one_factor_per_row() -> None:
    ramp = torch.arange(41.0).view(1, 41, 1).expand(500, 41, 2)
    warped = warp_bands(ramp, 0.25, torch.Generator().manual_seed(0))
    factors = warped[:, 20, 0] / 20
    assert factors.min() == pytest.approx(0.8, abs=0.01)
    assert factors.max() == pytest.approx(1.25, abs=0.01)
    expected = (factors[:, None] * torch.arange(41.0)).clamp(max=40)
    torch.testing.assert_close(warped[:, :, 1], expected, rtol=1e-4, atol=1e-3)


def test_a_single_band_can_be_warped() -> None:
    mel = torch.rand(2, 1, 3)
    assert torch.equal(warp_bands(mel, 0.2), mel)
