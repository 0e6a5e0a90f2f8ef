"""All tokens of all modalities in one row, for heads that attend over them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmedge.models.pooling import tokens_and_mask

__all__ = ["gather"]


def gather(
    first: Tensor, enter: nn.ModuleDict, inputs: Mapping[str, Tensor], presence: Tensor
) -> tuple[Tensor, Tensor]:
    """Project every modality's tokens to one width and put them side by side.

    Args:
        first: float32 ``[1, 1, D]``, a token that always stands.
        enter: modality -> module from its tokens to tokens ``[B, T, D]``, in the order of
            ``presence``.
        inputs: modality -> float32 ``[B, D_n]`` (one token) or ``[B, T, D_n]``, and for
            tokens perhaps ``f"{name}_mask"`` -> bool ``[B, T]``.
        presence: bool ``[B, M]``.

    Returns:
        Float32 ``[B, 1 + sum T, D]``, and bool ``[B, 1 + sum T]``: which of them count.
    """
    # A column of presence, not its size, gives the batch: nothing for an exporter to fix.
    parts = [torch.zeros_like(presence[:, :1, None], dtype=first.dtype) + first]
    masks = [torch.ones_like(presence[:, :1])]
    for index, (name, module) in enumerate(enter.items()):
        tokens, stands = tokens_and_mask(inputs, name, presence[:, index])
        parts.append(module(tokens))
        masks.append(stands)
    return torch.cat(parts, dim=1), torch.cat(masks, dim=1)
