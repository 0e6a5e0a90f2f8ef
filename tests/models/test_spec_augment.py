from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from mmedge.models import mask_spectrogram  # noqa: E402

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
