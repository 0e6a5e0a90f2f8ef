"""Fusion element by element: sum, mean or product of what is present."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from mmedge.models.fusion.heads import TaskHeads
from mmedge.models.pooling import pooled

__all__ = ["ElementwiseFusion"]


class ElementwiseFusion(nn.Module):
    """Sum, mean or product of ``tanh(V_n h_n)`` over the present modalities.

    Absent ones are the neutral element: zero in a sum, not counted in a mean, one in a
    product (the low-rank bilinear pooling of Kim et al. 2017, for any number of
    modalities). The tanh bounds what a product of several can become.

    Args:
        widths: modality -> length ``D`` of its embedding, in the order of ``presence``.
        outputs: task -> number of logits.
        how: the operation.
        hidden: features that are fused.
        dropout: share of them that is dropped in training.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        outputs: Mapping[str, int],
        *,
        how: Literal["sum", "mean", "product"] = "sum",
        hidden: int = 128,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if how not in ("sum", "mean", "product"):
            raise ValueError(f"how={how!r}: give 'sum', 'mean' or 'product'")
        self.how = how
        self.values = nn.ModuleDict(
            {name: nn.Linear(size, hidden) for name, size in widths.items()}
        )
        self.dropout = nn.Dropout(dropout)
        self.heads = TaskHeads(hidden, outputs)

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
            torch.tanh(enter(pooled(inputs, name, presence[:, index])))
            for index, (name, enter) in enumerate(self.values.items())
        ]
        logits: dict[str, Tensor] = self.heads(
            self.dropout(self._fuse(torch.stack(values, dim=1), presence.unsqueeze(2)))
        )
        return logits

    def _fuse(self, values: Tensor, present: Tensor) -> Tensor:
        """``[B, M, hidden]`` and ``[B, M, 1]`` to ``[B, hidden]``."""
        if self.how == "product":
            return torch.where(present, values, 1.0).prod(dim=1)
        total = torch.where(present, values, 0.0).sum(dim=1)
        if self.how == "sum":
            return total
        return total / present.to(values.dtype).sum(dim=1).clamp(min=1.0)
