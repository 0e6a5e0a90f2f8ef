"""Fusion by gates: each modality is weighed against the others, feature by feature."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmedge.models.pooling import masked_softmax, pooled

__all__ = ["GatedFusion"]


class GatedFusion(nn.Module):
    """Gated multimodal units (Arevalo et al. 2017), normalised over what is present.

    ``sum_n g_n * tanh(V_n h_n)``, where the gates ``g`` are computed from all embeddings
    and, per feature, sum to one over the present modalities.

    Args:
        widths: modality -> length ``D`` of its embedding, in the order of ``presence``.
        outputs: task -> number of logits.
        hidden: features that are gated.
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
        self.names = tuple(widths)
        self.values = nn.ModuleDict(
            {name: nn.Linear(width, hidden) for name, width in widths.items()}
        )
        self.gate = nn.Linear(sum(widths.values()), len(widths) * hidden)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict(
            {task: nn.Linear(hidden, logits) for task, logits in outputs.items()}
        )

    def gates(self, embeddings: list[Tensor], presence: Tensor) -> Tensor:
        """How much each modality counts, per feature.

        Args:
            embeddings: float32 ``[B, D]`` each, zero where absent.
            presence: bool ``[B, M]``.

        Returns:
            Float32 ``[B, M, hidden]``; sums to one over ``M``; zero where absent. In a row
            with nothing present all are equal, over values that are then constants.
        """
        scores = self.gate(torch.cat(embeddings, dim=1)).unflatten(1, (len(self.names), -1))
        return masked_softmax(scores, presence.unsqueeze(2), dim=1)

    def forward(self, inputs: Mapping[str, Tensor], presence: Tensor) -> dict[str, Tensor]:
        """Fuse a batch.

        Args:
            inputs: modality -> float32 ``[B, D]`` or ``[B, T, D]``, and for tokens
                perhaps ``f"{name}_mask"`` -> bool ``[B, T]``.
            presence: bool ``[B, M]`` in the order of ``widths``.

        Returns:
            Task -> float32 logits ``[B, outputs[task]]``.
        """
        embeddings = [
            pooled(inputs, name, presence[:, index]) for index, name in enumerate(self.names)
        ]
        values = torch.stack(
            [
                torch.tanh(self.values[name](embedding))
                for name, embedding in zip(self.names, embeddings, strict=True)
            ],
            dim=1,
        )
        fused = self.dropout((self.gates(embeddings, presence) * values).sum(dim=1))
        return {task: head(fused) for task, head in self.heads.items()}
