"""Augmentation of spectrograms in training: blanked stripes."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["mask_spectrogram"]


def mask_spectrogram(
    mel: Tensor, bands: int, frames: int, generator: torch.Generator | None = None
) -> Tensor:
    """Blank one band of mels and one stretch of time in each row (SpecAugment, Park et al. 2019).

    Args:
        mel: float32 ``[B, mels, T]``, logarithmic.
        bands: the blanked band is less than this wide.
        frames: the blanked stretch is less than this long.
        generator: source of chance; ``None`` takes torch's own.

    Returns:
        Float32 ``[B, mels, T]``, new; each row's smallest value stands in the blanks.
    """
    blank = mel.amin(dim=(1, 2), keepdim=True)
    for axis, longest in ((1, bands), (2, frames)):
        size = mel.shape[axis]
        draw = torch.rand(2, len(mel), 1, generator=generator)
        begin, length = draw[0] * size, draw[1] * longest
        at = torch.arange(size)
        hit = (at >= begin) & (at < begin + length)
        mel = torch.where(hit.unsqueeze(3 - axis), blank, mel)
    return mel
