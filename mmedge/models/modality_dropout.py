"""Modality dropout: in training, modalities go missing as they will on the device."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["drop_modalities"]


def drop_modalities(
    presence: Tensor,
    probability: float,
    generator: torch.Generator | None = None,
    keep_one: bool = False,
) -> Tensor:
    """Drop each present modality of each row by chance (ModDrop, Neverova et al. 2016).

    A row may lose everything, and should now and then: only so does the head learn what to
    answer with nothing present, which contributions take as their baseline.

    Args:
        presence: bool ``[B, M]``.
        probability: of each modality to be dropped, in ``0 .. 1``.
        generator: source of chance; ``None`` takes torch's own.
        keep_one: rows that would lose everything keep one of theirs, drawn evenly.

    Returns:
        Bool ``[B, M]``, new; never true where ``presence`` is false.

    Raises:
        ValueError: ``probability`` is no probability.
    """
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability={probability} must lie in 0..1")
    device = presence.device if generator is None else generator.device
    chance = torch.rand(presence.shape, generator=generator, device=device).to(presence.device)
    kept = presence & (chance >= probability)
    if not keep_one:
        return kept
    # Among modalities with one and the same probability the largest number is an even draw.
    last = torch.where(presence, chance, -1.0).argmax(dim=1, keepdim=True)
    rescued = torch.zeros_like(presence).scatter(1, last, True) & presence
    return torch.where(kept.any(dim=1, keepdim=True), kept, rescued)
