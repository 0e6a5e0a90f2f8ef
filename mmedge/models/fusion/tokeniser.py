"""What makes a modality's tokens fit into one sequence with those of others."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmedge.errors import ConfigError

__all__ = ["Tokeniser"]


class Tokeniser(nn.Module):
    """A projection, a vector that marks the modality, and one that marks the position.

    As in ViLT (Kim et al. 2021). Each modality has one of its own, so that what is encoded
    at another rate or at another time can be made ready by itself.

    Args:
        size: length of the modality's tokens.
        width: common width.
        max_tokens: how many tokens there are positions for.
    """

    def __init__(self, size: int, width: int, max_tokens: int) -> None:
        super().__init__()
        self.project = nn.Linear(size, width, bias=False)
        # Tokens come with unit variance: beside it the usual 0.02 is hardly seen at first.
        self.modality = nn.Parameter(torch.randn(1, 1, width) * 0.1)
        self.position = nn.Parameter(torch.randn(1, max_tokens, width) * 0.1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Make ready.

        Args:
            tokens: float32 ``[B, T, size]``; ``T`` at most ``max_tokens``.

        Returns:
            Float32 ``[B, T, width]``.

        Raises:
            ConfigError: there are more tokens than positions.
        """
        count, most = tokens.shape[1], self.position.shape[1]
        if count > most:
            raise ConfigError(
                f"an encoder gives {count} tokens, but the joint transformer has positions for "
                f"{most}: build it with a larger max_tokens"
            )
        ready: Tensor = self.project(tokens) + self.modality + self.position[:, :count]
        return ready
