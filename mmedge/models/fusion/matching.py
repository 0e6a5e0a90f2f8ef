"""Matching head: do these two belong together?"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmedge.models.fusion.pair import the_task, undecided
from mmedge.models.pooling import pooled

__all__ = ["MatchingHead"]


class MatchingHead(nn.Module):
    """A binary answer from both embeddings, their product and their distance.

    The matching task of ALBEF (Li et al. 2021) for any two modalities, on the features that
    InferSent (Conneau et al. 2017) compares sentences by. Train it with
    :func:`mmedge.models.matching_loss` on pairs and on hard negatives. Where one of the
    two is absent the logit is 0: undecided.

    Args:
        widths: the two modalities -> length ``D`` of their embeddings, in the order of
            ``presence``.
        outputs: the one task -> 1.
        width: that both are projected to.
        dropout: share of the hidden units that is dropped in training.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        outputs: Mapping[str, int],
        *,
        width: int = 64,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.task = the_task("MatchingHead", widths, outputs)
        self.project = nn.ModuleDict(
            {name: nn.Linear(size, width) for name, size in widths.items()}
        )
        self.compare = nn.Sequential(
            nn.Linear(4 * width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 1)
        )

    def forward(self, inputs: Mapping[str, Tensor], presence: Tensor) -> dict[str, Tensor]:
        """Compare row by row.

        Args:
            inputs: modality -> float32 ``[B, D]`` or ``[B, T, D]``, and for tokens
                perhaps ``f"{name}_mask"`` -> bool ``[B, T]``.
            presence: bool ``[B, 2]`` in the order of ``widths``.

        Returns:
            The task -> float32 logit ``[B, 1]``; positive where they match.
        """
        a, b = (
            enter(pooled(inputs, name, presence[:, index]))
            for index, (name, enter) in enumerate(self.project.items())
        )
        features = torch.cat((a, b, a * b, (a - b).abs()), dim=1)
        return {self.task: undecided(self.compare(features), presence)}
