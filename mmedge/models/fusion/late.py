"""Late fusion: every modality answers for itself, and the answers are averaged."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmedge.models.fusion.heads import TaskHeads
from mmedge.models.pooling import pooled

__all__ = ["LateFusion"]


class LateFusion(nn.Module):
    """Mean of ``logits_n / T_n`` over the present modalities, ``T_n`` learned.

    The temperature (Guo et al. 2017) weighs a modality that is surer than it is right down
    against the others; present alone, it is then calibrated too. With nothing present the
    answer is a learned prior.

    Args:
        widths: modality -> length ``D`` of its embedding, in the order of ``presence``.
        outputs: task -> number of logits.
    """

    def __init__(self, widths: Mapping[str, int], outputs: Mapping[str, int]) -> None:
        super().__init__()
        self.answers = nn.ModuleDict(
            {name: TaskHeads(size, outputs) for name, size in widths.items()}
        )
        # The logarithm, so that no step of training makes a temperature negative.
        self.log_temperature = nn.Parameter(torch.zeros(len(widths)))
        self.prior = nn.ParameterDict(
            {task: nn.Parameter(torch.zeros(logits)) for task, logits in outputs.items()}
        )

    def each(self, inputs: Mapping[str, Tensor], presence: Tensor) -> dict[str, dict[str, Tensor]]:
        """What every modality answers by itself, before its temperature.

        Args:
            inputs: as for :meth:`forward`.
            presence: bool ``[B, M]``.

        Returns:
            Modality -> task -> float32 logits ``[B, outputs[task]]``; meaningless in rows
            where the modality is absent. For a loss of its own.
        """
        return {
            name: answer(pooled(inputs, name, presence[:, index]))
            for index, (name, answer) in enumerate(self.answers.items())
        }

    def forward(self, inputs: Mapping[str, Tensor], presence: Tensor) -> dict[str, Tensor]:
        """Fuse a batch.

        Args:
            inputs: modality -> float32 ``[B, D]`` or ``[B, T, D]``, and for tokens
                perhaps ``f"{name}_mask"`` -> bool ``[B, T]``.
            presence: bool ``[B, M]`` in the order of ``widths``.

        Returns:
            Task -> float32 logits ``[B, outputs[task]]``.
        """
        each = self.each(inputs, presence).values()
        sureness = torch.where(presence, torch.exp(-self.log_temperature), 0.0).unsqueeze(2)
        count = presence.to(sureness.dtype).sum(dim=1, keepdim=True)
        fused = {}
        for task, prior in self.prior.items():
            logits = torch.stack([answers[task] for answers in each], dim=1)
            mean = (sureness * logits).sum(dim=1) / count.clamp(min=1.0)
            fused[task] = torch.where(count > 0, mean, prior)
        return fused
