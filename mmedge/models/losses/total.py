"""The sum of everything that a multimodal model is trained on."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["total_loss"]


def total_loss(
    tasks: Mapping[str, Tensor],
    weights: Mapping[str, float] | None = None,
    alignment: Tensor | None = None,
    alignment_weight: float = 1.0,
    *,
    modal: Mapping[str, Tensor] | None = None,
    modal_weight: float = 1.0,
) -> Tensor:
    """``sum_t w_t * L_t + lambda_1 * sum_n L_modal_n + lambda_2 * L_align``.

    Such sums train one model on everything at once, as FLAVA (Singh et al. 2022).

    Args:
        tasks: task -> scalar loss; at least one.
        weights: task -> ``w_t``; a task that is not named counts once.
        alignment: scalar, the sum over pairs of modalities:
            :func:`mmedge.models.info_nce_of_all_pairs`.
        alignment_weight: ``lambda_2``.
        modal: modality -> scalar, what it learns by itself:
            :func:`mmedge.models.masked_language_loss`, :func:`mmedge.models.masked_image_loss`.
        modal_weight: ``lambda_1``.

    Returns:
        Scalar.

    Raises:
        ValueError: no task, or a weight for a task that is not there.
    """
    weights = weights or {}
    strangers = sorted(set(weights) - set(tasks))
    if strangers or not tasks:
        raise ValueError(f"weights name {strangers}, the tasks are {sorted(tasks)}: name those")
    total = torch.stack([weights.get(name, 1.0) * loss for name, loss in tasks.items()]).sum()
    if modal:
        total = total + modal_weight * torch.stack(list(modal.values())).sum()
    return total if alignment is None else total + alignment_weight * alignment
