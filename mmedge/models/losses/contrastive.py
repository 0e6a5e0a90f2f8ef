"""Alignment of modalities: what belongs together is close, everything else is not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

__all__ = ["LearnedTemperature", "info_nce", "info_nce_of_all_pairs"]


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


def info_nce_of_all_pairs(
    embeddings: Mapping[str, Tensor], presence: Tensor, log_scale: Tensor
) -> Tensor:
    """Sum of :func:`info_nce` over all pairs of modalities, some of which may be incomplete.

    The full graph of contrastive multiview coding (Tian et al. 2020, section 3.3).
    A row takes part in those pairs of which it has both. Each pair counts once, since the
    loss looks in both directions by itself.

    Args:
        embeddings: modality -> float ``[B, D]`` in a space that all share, in the order of
            ``presence``; anything, NaN too, where absent.
        presence: bool ``[B, M]``.
        log_scale: scalar, logarithm of the inverse temperature.

    Returns:
        Scalar, zero where nothing can be contrasted.

    Raises:
        ValueError: there is no pair.
    """
    pairs = list(combinations(enumerate(embeddings.values()), 2))
    if not pairs or presence.shape[1] != len(embeddings):
        raise ValueError(
            f"presence has {presence.shape[1]} columns for the embeddings {list(embeddings)}: "
            "give one column each, for two modalities or more"
        )
    losses = [
        info_nce(a, b, log_scale, presence[:, i] & presence[:, j]) for (i, a), (j, b) in pairs
    ]
    return torch.stack(losses).sum()


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
        if not self.training:  # a graph cannot change its parameters
            return self.log_scale.clamp(max=self.max_log_scale)
        # The parameter itself is clamped, not the result: a clamped result has no gradient,
        # and a scale that overshot would never come back.
        with torch.no_grad():
            self.log_scale.clamp_(max=self.max_log_scale)
        # A copy, or the next step's clamp would change what this step's graph has stored.
        return self.log_scale.clone()
