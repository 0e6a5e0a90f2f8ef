"""Hybrid fusion: embeddings fused early and answers fused late, both heard."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmedge.models.fusion.concatenation import ConcatenationFusion
from mmedge.models.fusion.late import LateFusion

__all__ = ["HybridFusion"]


class HybridFusion(nn.Module):
    """``s * early + (1 - s) * late`` per task, with ``s`` in 0 .. 1 learned.

    Early fusion sees how modalities go together, late fusion keeps working when one of
    them has changed (Atrey et al. 2010, section 3.1).

    Args:
        widths: modality -> length ``D`` of its embedding, in the order of ``presence``.
        outputs: task -> number of logits.
        hidden: units of the early half.
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
        self.early = ConcatenationFusion(widths, outputs, hidden=hidden, dropout=dropout)
        self.late = LateFusion(widths, outputs)
        self.share = nn.ParameterDict({task: nn.Parameter(torch.zeros(1)) for task in outputs})

    def forward(self, inputs: Mapping[str, Tensor], presence: Tensor) -> dict[str, Tensor]:
        """Fuse a batch.

        Args:
            inputs: modality -> float32 ``[B, D]`` or ``[B, T, D]``, and for tokens
                perhaps ``f"{name}_mask"`` -> bool ``[B, T]``.
            presence: bool ``[B, M]`` in the order of ``widths``.

        Returns:
            Task -> float32 logits ``[B, outputs[task]]``.
        """
        early, late = self.early(inputs, presence), self.late(inputs, presence)
        shares = {task: torch.sigmoid(share) for task, share in self.share.items()}
        return {
            task: share * early[task] + (1 - share) * late[task] for task, share in shares.items()
        }
