"""What every fusion head does first: embeddings and tokens, whatever stands in an absent slot."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["masked_mean", "masked_softmax", "pooled", "tokens_and_mask"]

# Far below any score, yet finite and within float16: -inf ruins calibration ranges, and a
# softmax over nothing but -inf is NaN.
MASKED = -1e4


def masked_softmax(scores: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Softmax over what counts, zero elsewhere; spread evenly over all where nothing counts.

    Args:
        scores: float32 of any shape.
        mask: bool, of a shape that spreads over that of ``scores``.
        dim: axis that sums to one.

    Returns:
        Float32 of the shape of ``scores``.
    """
    return torch.where(mask, scores, MASKED).softmax(dim=dim)


def masked_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens that count; zeros where none does.

    Args:
        tokens: float32 ``[B, T, D]``; anything, NaN too, where ``mask`` is false.
        mask: bool ``[B, T]``.

    Returns:
        Float32 ``[B, D]``.
    """
    # Where, not a product: NaN * 0 is NaN.
    counted = torch.where(mask.unsqueeze(-1), tokens, torch.zeros_like(tokens))
    count = mask.to(tokens.dtype).sum(dim=1, keepdim=True)
    return counted.sum(dim=1) / count.clamp(min=1.0)


def pooled(
    inputs: Mapping[str, Tensor], name: str, present: Tensor, absent: Tensor | None = None
) -> Tensor:
    """One vector per row: the modality's embedding, or ``absent`` where it is not present.

    Args:
        inputs: ``inputs[name]``: float32 ``[B, D]`` or ``[B, T, D]``, and for tokens
            perhaps ``inputs[f"{name}_mask"]``: bool ``[B, T]``.
        name: of the modality.
        present: bool ``[B]``.
        absent: float32 ``[D]``, stands in for what is missing; ``None`` means zeros.

    Returns:
        Float32 ``[B, D]``.
    """
    value = inputs[name]
    if value.dim() == 3:
        mask = inputs.get(f"{name}_mask")
        value = value.mean(dim=1) if mask is None else masked_mean(value, mask)
    instead = torch.zeros_like(value) if absent is None else absent
    return torch.where(present.unsqueeze(1), value, instead)


def tokens_and_mask(
    inputs: Mapping[str, Tensor], name: str, present: Tensor
) -> tuple[Tensor, Tensor]:
    """The modality's tokens, zero where they do not count, and which of them count.

    Args:
        inputs: as for :func:`pooled`; an embedding ``[B, D]`` is one token.
        name: of the modality.
        present: bool ``[B]``.

    Returns:
        Float32 ``[B, T, D]`` and bool ``[B, T]``.
    """
    value = inputs[name]
    tokens = value if value.dim() == 3 else value.unsqueeze(1)
    mask = inputs.get(f"{name}_mask") if value.dim() == 3 else None
    stands = torch.ones_like(tokens[..., 0], dtype=torch.bool) if mask is None else mask
    stands = stands & present.unsqueeze(1)
    return torch.where(stands.unsqueeze(-1), tokens, torch.zeros_like(tokens)), stands
