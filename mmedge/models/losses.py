"""Losses of multimodal training: alignment of two modalities, and the sum of everything."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

__all__ = ["LearnedTemperature", "info_nce", "total_loss"]


def info_nce(a: Tensor, b: Tensor, log_scale: Tensor, valid: Tensor | None = None) -> Tensor:
    """Symmetric contrastive loss: row ``i`` of ``a`` belongs to row ``i`` of ``b``.

    InfoNCE (van den Oord et al. 2018) in both directions, as in CLIP (Radford et al. 2021):
    the mean of two cross-entropies over ``exp(log_scale) * cosine(a_i, b_j)``.

    Args:
        a: float ``[B, D]``; any length, it is normalised here.
        b: float ``[B, D]``.
        log_scale: scalar, logarithm of the inverse temperature.
        valid: bool ``[B]``: rows that have both modalities. The others are neither
            positives nor negatives.

    Returns:
        Scalar; zero when fewer than two rows are valid, since nothing is contrasted then.
    """
    if valid is not None:
        # Selected, not masked: a row that is not there may be NaN.
        a, b = a[valid], b[valid]
    if a.shape[0] < 2:
        return log_scale * 0.0
    cosine = normalize(a, dim=1) @ normalize(b, dim=1).T
    logits = log_scale.exp() * cosine
    target = torch.arange(a.shape[0], device=a.device)
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


class LearnedTemperature(nn.Module):
    """A learned inverse temperature, clamped as in CLIP (Radford et al. 2021, section 2.5).

    Args:
        temperature: at the start.
        max_scale: the scale ``1 / temperature`` never exceeds this.
    """

    def __init__(self, temperature: float = 0.07, max_scale: float = 100.0) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.max_log_scale = math.log(max_scale)

    def forward(self) -> Tensor:
        """The scalar ``log_scale`` for :func:`info_nce`, at most ``log(max_scale)``."""
        # The parameter itself is clamped, not the result: a clamped result has no gradient,
        # and a scale that overshot would never come back.
        with torch.no_grad():
            self.log_scale.clamp_(max=self.max_log_scale)
        # A copy, or the next step's clamp would change what this step's graph has stored.
        return self.log_scale.clone()


def total_loss(
    tasks: Mapping[str, Tensor],
    weights: Mapping[str, float] | None = None,
    alignment: Tensor | None = None,
    alignment_weight: float = 0.0,
) -> Tensor:
    """``sum_t w_t * L_t + lambda * L_align``.

    Args:
        tasks: task -> scalar loss; at least one.
        weights: task -> ``w_t``; a task that is not named counts once.
        alignment: scalar, the sum over pairs of modalities of :func:`info_nce`.
        alignment_weight: ``lambda``.

    Raises:
        ValueError: no task, or a weight for a task that is not there.
    """
    weights = weights or {}
    strangers = sorted(set(weights) - set(tasks))
    if strangers or not tasks:
        raise ValueError(f"weights name {strangers}, the tasks are {sorted(tasks)}: name those")
    total = torch.stack([weights.get(name, 1.0) * loss for name, loss in tasks.items()]).sum()
    return total if alignment is None else total + alignment_weight * alignment
