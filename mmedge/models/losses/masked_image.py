"""Masked image modelling: paint the patches that were blanked."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import l1_loss

from mmedge.models.patches import cut_patches

__all__ = ["blank_patches", "draw_patches", "masked_image_loss"]


def draw_patches(
    rows: int, patches: int, share: float = 0.6, generator: torch.Generator | None = None
) -> Tensor:
    """Choose the same number of patches in each row, at random (SimMIM, Xie et al. 2022).

    Args:
        rows: ``B``.
        patches: ``N`` of a picture.
        share: of the patches that are chosen; SimMIM hides 60 %.
        generator: source of chance; ``None`` takes torch's own.

    Returns:
        Bool ``[B, N]``, ``round(share * N)`` of them true in each row.

    Raises:
        ValueError: ``share`` is no share.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share={share} must lie in 0..1")
    device = "cpu" if generator is None else generator.device
    order = torch.rand(rows, patches, generator=generator, device=device).argsort(dim=1)
    return order < round(share * patches)


def blank_patches(images: Tensor, masked: Tensor, patch: int) -> Tensor:
    """Blank patches with zero, the mean of normalised pictures.

    SimMIM (Xie et al. 2022) learns a token for this place instead; blank pixels do for any
    encoder, those without patches too.

    Args:
        images: float32 ``[B, C, H, W]``, normalised; ``H`` and ``W`` multiples of ``patch``.
        masked: bool ``[B, N]``: rows of patches one after another.
        patch: side of a patch.

    Returns:
        Float32 ``[B, C, H, W]``, new.
    """
    grid = masked.unflatten(1, (images.shape[2] // patch, images.shape[3] // patch))
    pixels = grid.repeat_interleave(patch, dim=1).repeat_interleave(patch, dim=2)
    return torch.where(pixels.unsqueeze(1), 0.0, images)


def masked_image_loss(predicted: Tensor, images: Tensor, masked: Tensor, patch: int) -> Tensor:
    """Mean distance of predicted and true pixels over the masked patches (SimMIM, Xie et al. 2022).

    Args:
        predicted: float ``[B, N, C * patch * patch]``: the encoder's tokens through one
            dense layer, which SimMIM found to be enough.
        images: float ``[B, C, H, W]``, before blanking.
        masked: bool ``[B, N]``, of :func:`draw_patches`.
        patch: side of a patch.

    Returns:
        Scalar; zero when nothing is masked.
    """
    guesses = predicted[masked]
    if guesses.shape[0] == 0:
        return guesses.sum()  # of nothing: zero, and with a gradient
    return l1_loss(guesses, cut_patches(images, patch)[masked])
