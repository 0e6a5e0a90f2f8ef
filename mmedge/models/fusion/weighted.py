"""Fusion by learned weights: how much each modality counts is a parameter."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmedge.models.fusion.heads import TaskHeads
from mmedge.models.pooling import masked_softmax, pooled

__all__ = ["WeightedFusion"]


class WeightedFusion(nn.Module):
    """``sum_n softmax(a)_n V_n h_n`` with the softmax over the present modalities.

    The weights are the same for every sample, in contrast to gates; the scalar mix of
    ELMo (Peters et al. 2018) over modalities in place of layers.

    Args:
        widths: modality -> length ``D`` of its embedding, in the order of ``presence``.
        outputs: task -> number of logits.
        hidden: features that are weighed.
        dropout: share of them that is dropped in training.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        outputs: Mapping[str, int],
        *,
        hidden: int = 128,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(len(widths)))
        self.values = nn.ModuleDict(
            {name: nn.Linear(size, hidden) for name, size in widths.items()}
        )
        self.mix = nn.Sequential(nn.ReLU(), nn.Dropout(dropout))
        self.heads = TaskHeads(hidden, outputs)

    def weights(self, presence: Tensor) -> Tensor:
        """How much each modality counts.

        Args:
            presence: bool ``[B, M]``.

        Returns:
            Float32 ``[B, M]``; sums to one; zero where absent. In a row with nothing
            present all are equal.
        """
        return masked_softmax(self.scores, presence, dim=1)

    def forward(self, inputs: Mapping[str, Tensor], presence: Tensor) -> dict[str, Tensor]:
        """Fuse a batch.

        Args:
            inputs: modality -> float32 ``[B, D]`` or ``[B, T, D]``, and for tokens
                perhaps ``f"{name}_mask"`` -> bool ``[B, T]``.
            presence: bool ``[B, M]`` in the order of ``widths``.

        Returns:
            Task -> float32 logits ``[B, outputs[task]]``.
        """
        values = [
            enter(pooled(inputs, name, presence[:, index]))
            for index, (name, enter) in enumerate(self.values.items())
        ]
        weighed = self.weights(presence).unsqueeze(2) * torch.stack(values, dim=1)
        logits: dict[str, Tensor] = self.heads(self.mix(weighed.sum(dim=1)))
        return logits
