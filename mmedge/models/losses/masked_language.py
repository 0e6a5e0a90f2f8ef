"""Masked language modelling: guess the words that were hidden."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

__all__ = ["mask_tokens", "masked_language_loss"]


def mask_tokens(
    ids: Tensor,
    mask: Tensor,
    *,
    mask_id: int,
    vocabulary: int,
    special: Sequence[int] = (),
    share: float = 0.15,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Hide some tokens of each text, as BERT (Devlin et al. 2019, section 3.1).

    Of the chosen ones 80 % become the mask token, 10 % any token at all and 10 % stay, so
    that the encoder can rely neither on seeing masks nor on what it sees being true.

    Args:
        ids: int64 ``[B, L]``.
        mask: int64 or bool ``[B, L]``: 1 where a token stands.
        mask_id: of the mask token.
        vocabulary: how many ids there are.
        special: ids that are never chosen, such as class and separator.
        share: probability of each token to be chosen.
        generator: source of chance; ``None`` takes torch's own.

    Returns:
        The ids to train on, int64 ``[B, L]``, new; and which tokens have to be guessed,
        bool ``[B, L]``.

    Raises:
        ValueError: ``share`` is no probability.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share={share} must lie in 0..1")
    device = ids.device if generator is None else generator.device
    chance = torch.rand((2, *ids.shape), generator=generator, device=device).to(ids.device)
    words = torch.randint(vocabulary, ids.shape, generator=generator, device=device)
    chosen = (chance[0] < share) & (mask > 0)
    for token in special:
        chosen = chosen & (ids != token)
    hidden = torch.where(chosen & (chance[1] < 0.8), mask_id, ids)
    swapped = chosen & (chance[1] >= 0.8) & (chance[1] < 0.9)
    return torch.where(swapped, words.to(ids.device), hidden), chosen


def masked_language_loss(logits: Tensor, ids: Tensor, chosen: Tensor) -> Tensor:
    """Mean of ``-log P(token)`` over the tokens to be guessed (BERT, Devlin et al. 2019).

    Args:
        logits: float ``[B, L, vocabulary]``.
        ids: int64 ``[B, L]``, before masking.
        chosen: bool ``[B, L]``, of :func:`mask_tokens`.

    Returns:
        Scalar; zero when no token was chosen, as happens in short texts.
    """
    guesses = logits[chosen]
    if guesses.shape[0] == 0:
        return guesses.sum()  # of nothing: zero, and with a gradient
    return cross_entropy(guesses, ids[chosen])
