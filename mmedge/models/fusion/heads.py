"""What stands at the end of most fusion heads: one dense layer per task."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

__all__ = ["TaskHeads"]


class TaskHeads(nn.ModuleDict):
    """Fused features -> task -> logits.

    Args:
        width: of the fused features.
        outputs: task -> number of logits.
    """

    def __init__(self, width: int, outputs: Mapping[str, int]) -> None:
        super().__init__({task: nn.Linear(width, logits) for task, logits in outputs.items()})

    def forward(self, fused: Tensor) -> dict[str, Tensor]:
        """Answer every task.

        Args:
            fused: float32 ``[B, width]``.

        Returns:
            Task -> float32 ``[B, outputs[task]]``.
        """
        return {task: head(fused) for task, head in self.items()}
