"""Matching: tell pairs that belong together from pairs that only look so."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

__all__ = ["draw_negatives", "matching_loss"]


def draw_negatives(
    similarity: Tensor, valid: Tensor | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Draw for each row the other half of a wrong pair, similar ones more often.

    The hard negatives of ALBEF (Li et al. 2021, section 3.2): row ``j`` with the probability
    ``softmax(similarity)_ij`` among all but ``i`` itself.

    Args:
        similarity: float ``[B, B]``, such as the logits of a contrastive loss.
        valid: bool ``[B]``: rows that have both modalities; the others neither draw nor are
            drawn, and their similarities may be anything, NaN too.
        generator: source of chance; ``None`` takes torch's own.

    Returns:
        Int64 ``[B]``: the row to take the second modality from; its own number where there
        is no other row, so ``drawn == arange(B)`` says what still belongs together.
    """
    rows = torch.arange(similarity.shape[0], device=similarity.device)
    others = rows[:, None] != rows
    if valid is not None:
        others = others & valid & valid[:, None]
    # Gumbel's trick (Maddison et al. 2014): the largest of scores plus such noise is a draw
    # from their softmax, and scores that are far apart need not be representable as one.
    device = similarity.device if generator is None else generator.device
    chance = torch.rand(similarity.shape, generator=generator, device=device).to(rows.device)
    noise = -torch.log(-torch.log(chance.clamp(1e-12, 1 - 1e-7)))
    scores = torch.where(others, similarity.detach() + noise, -torch.inf)
    return torch.where(others.any(dim=1), scores.argmax(dim=1), rows)


def matching_loss(logits: Tensor, belong: Tensor, valid: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of the matching task, for any two modalities (ALBEF, Li et al. 2021).

    Args:
        logits: float ``[B, 1]`` or ``[B]``.
        belong: bool ``[B]``: whether the two of a row belong together.
        valid: bool ``[B]``: rows that have both modalities; the others do not count.

    Returns:
        Scalar; zero when no row counts.
    """
    logits = logits.flatten()
    if valid is not None:
        logits, belong = logits[valid], belong[valid]
    if logits.shape[0] == 0:
        return logits.sum()  # of nothing: zero, and with a gradient
    return binary_cross_entropy_with_logits(logits, belong.to(logits.dtype))
