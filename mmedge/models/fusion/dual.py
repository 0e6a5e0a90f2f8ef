"""Dual encoder: two modalities meet only as a cosine."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.functional import normalize

from mmedge.models.fusion.pair import the_task, undecided
from mmedge.models.losses import LearnedTemperature
from mmedge.models.pooling import pooled

__all__ = ["DualEncoder"]


class DualEncoder(nn.Module):
    """``scale * cos(P_a h_a, P_b h_b)``: do these two belong together (CLIP, Radford 2021)?

    Train it with :func:`mmedge.models.info_nce` over :meth:`embed` and :attr:`temperature`.
    Where one of the two is absent, and at a right angle, the logit is 0: undecided.

    Args:
        widths: the two modalities -> length ``D`` of their embeddings, in the order of
            ``presence``.
        outputs: the one task -> 1.
        width: of the space that both are projected to.
    """

    def __init__(
        self, widths: Mapping[str, int], outputs: Mapping[str, int], *, width: int = 64
    ) -> None:
        super().__init__()
        self.task = the_task("DualEncoder", widths, outputs)
        # No bias: a constant that all embeddings share would only blur the angles.
        self.project = nn.ModuleDict(
            {name: nn.Linear(size, width, bias=False) for name, size in widths.items()}
        )
        self.temperature = LearnedTemperature()

    def embed(self, name: str, embedding: Tensor) -> Tensor:
        """Place one modality in the common space.

        Args:
            name: of the modality.
            embedding: float32 ``[B, D]``.

        Returns:
            Float32 ``[B, width]`` of length one; zeros stay zeros.
        """
        return normalize(self.project[name](embedding), dim=1)

    def forward(self, inputs: Mapping[str, Tensor], presence: Tensor) -> dict[str, Tensor]:
        """Compare row by row.

        Args:
            inputs: modality -> float32 ``[B, D]`` or ``[B, T, D]``, and for tokens
                perhaps ``f"{name}_mask"`` -> bool ``[B, T]``.
            presence: bool ``[B, 2]`` in the order of ``widths``.

        Returns:
            The task -> float32 logit ``[B, 1]``.
        """
        a, b = (
            self.embed(name, pooled(inputs, name, presence[:, index]))
            for index, name in enumerate(self.project)
        )
        logit = self.temperature().exp() * (a * b).sum(dim=1, keepdim=True)
        return {self.task: undecided(logit, presence)}
