"""Fusion by attention: learned queries look at every token of every present modality."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmedge.models.fusion.gather import gather
from mmedge.models.fusion.heads import TaskHeads
from mmedge.models.transformer import attend

__all__ = ["AttentionFusion"]


class AttentionFusion(nn.Module):
    """Learned queries cross-attend over all tokens (Perceiver, Jaegle et al. 2021).

    Each modality is projected to a common width and marked by a learned vector. One learned
    token always stands: it is what the queries find when nothing else is present.

    Args:
        widths: modality -> length ``D`` of its embedding or tokens, in the order of
            ``presence``.
        outputs: task -> number of logits.
        width: common width; a multiple of ``heads``.
        queries: how many learned queries.
        heads: attention heads.
        dropout: share of the fused features that is dropped in training.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        outputs: Mapping[str, int],
        *,
        width: int = 64,
        queries: int = 4,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width={width} must be a multiple of heads={heads}")
        self.heads_of_attention = heads
        # The bias marks the modality.
        self.enter = nn.ModuleDict({name: nn.Linear(size, width) for name, size in widths.items()})
        self.nothing = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.queries = nn.Parameter(torch.randn(1, queries, width) * 0.5)
        self.norm = nn.LayerNorm(width)
        self.key, self.value = nn.Linear(width, width), nn.Linear(width, width)
        self.leave = nn.Linear(width, width)
        self.mix = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width)
        )
        self.out = nn.Sequential(nn.LayerNorm(queries * width), nn.Dropout(dropout))
        self.heads = TaskHeads(queries * width, outputs)

    def forward(self, inputs: Mapping[str, Tensor], presence: Tensor) -> dict[str, Tensor]:
        """Fuse a batch.

        Args:
            inputs: modality -> float32 ``[B, D]`` (one token) or ``[B, T, D]``, and for
                tokens perhaps ``f"{name}_mask"`` -> bool ``[B, T]``.
            presence: bool ``[B, M]`` in the order of ``widths``.

        Returns:
            Task -> float32 logits ``[B, outputs[task]]``.
        """
        tokens, mask = self._gather(inputs, presence)
        attended = self.queries + self.leave(self._attend(tokens, mask))
        fused = self.out((attended + self.mix(attended)).flatten(1))
        logits: dict[str, Tensor] = self.heads(fused)
        return logits

    def _gather(self, inputs: Mapping[str, Tensor], presence: Tensor) -> tuple[Tensor, Tensor]:
        """All tokens, ``[B, 1 + sum T, width]``, and which of them count."""
        tokens, mask = gather(self.nothing, self.enter, inputs, presence)
        return self.norm(tokens), mask

    def _attend(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """``[B, queries, width]``: what each query finds."""
        return attend(
            self.queries, self.key(tokens), self.value(tokens), self.heads_of_attention, mask
        )
