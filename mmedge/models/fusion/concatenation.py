"""Fusion by concatenation: all embeddings side by side into one small network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmedge.models.pooling import pooled

__all__ = ["ConcatenationFusion"]


class ConcatenationFusion(nn.Module):
    """``W [h_1; ...; h_N]`` with one hidden layer (Ngiam et al. 2011).

    A learned vector stands in for a modality that is absent; train with
    :func:`mmedge.models.drop_modalities`, or that vector stays at zero, unlearned.

    Args:
        widths: modality -> length ``D`` of its embedding, in the order of ``presence``.
        outputs: task -> number of logits.
        hidden: units of the hidden layer.
        dropout: share of the hidden units that are dropped in training.
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
        self.names = tuple(widths)
        self.absent = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(width)) for name, width in widths.items()}
        )
        self.hidden = nn.Sequential(
            nn.Linear(sum(widths.values()), hidden), nn.ReLU(), nn.Dropout(dropout)
        )
        self.heads = nn.ModuleDict(
            {task: nn.Linear(hidden, logits) for task, logits in outputs.items()}
        )

    def forward(self, inputs: Mapping[str, Tensor], presence: Tensor) -> dict[str, Tensor]:
        """Fuse a batch.

        Args:
            inputs: modality -> float32 ``[B, D]`` or ``[B, T, D]``, and for tokens
                perhaps ``f"{name}_mask"`` -> bool ``[B, T]``.
            presence: bool ``[B, M]`` in the order of ``widths``.

        Returns:
            Task -> float32 logits ``[B, outputs[task]]``.
        """
        parts = [
            pooled(inputs, name, presence[:, index], self.absent[name])
            for index, name in enumerate(self.names)
        ]
        fused = self.hidden(torch.cat(parts, dim=1))
        return {task: head(fused) for task, head in self.heads.items()}
