"""Augmentation of spectrograms in training: blanked stripes, warped bands."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["mask_spectrogram", "warp_bands"]


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


def warp_bands(mel: Tensor, share: float, generator: torch.Generator | None = None) -> Tensor:
    """Stretch or squeeze each row's mel axis, as a longer or shorter vocal tract would.

    After vocal tract length perturbation (Jaitly and Hinton 2013), linear in mel. Unlike
    another playing speed it leaves the pace as it is.

    Args:
        mel: float32 ``[B, mels, T]``, logarithmic.
        share: the factor lies between ``1 / (1 + share)`` and ``1 + share``.
        generator: source of chance; ``None`` takes torch's own.

    Returns:
        Float32 ``[B, mels, T]``, new; above the last band that band is repeated.
    """
    rows, mels, frames = mel.shape
    exponent = 2 * torch.rand(rows, 1, generator=generator) - 1
    at = (torch.arange(mels) * (1 + share) ** exponent).clamp(max=mels - 1)
    below = at.floor().long().clamp(max=max(mels - 2, 0))
    above = (below + 1).clamp(max=mels - 1)
    part = (at - below).unsqueeze(2)
    low, high = (
        mel.gather(1, index.unsqueeze(2).expand(-1, -1, frames)) for index in (below, above)
    )
    return low + part * (high - low)
