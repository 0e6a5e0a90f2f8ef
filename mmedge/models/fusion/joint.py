"""Fusion by one transformer over the tokens of all modalities."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmedge.models.fusion.gather import gather
from mmedge.models.fusion.heads import TaskHeads
from mmedge.models.fusion.tokeniser import Tokeniser
from mmedge.models.transformer import Transformer

__all__ = ["JointTransformerFusion"]


class JointTransformerFusion(nn.Module):
    """Every token looks at every other; a class token gathers the answer (ViLT, Kim 2021).

    Encoders may be deep, or mere tokenisers such as ``ImageViT(..., tokens=True, depth=0)``:
    the joint encoder of the literature is then whole, and still one graph per modality.
    The class token always stands: it is alone when nothing is present.

    Args:
        widths: modality -> length ``D`` of its embedding or tokens, in the order of
            ``presence``.
        outputs: task -> number of logits.
        width: common width; a multiple of ``heads``.
        depth: blocks of the transformer.
        heads: of attention.
        max_tokens: of one modality.
        dropout: in the blocks.
    """

    def __init__(
        self,
        widths: Mapping[str, int],
        outputs: Mapping[str, int],
        *,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        max_tokens: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.cls = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.enter = nn.ModuleDict(
            {name: Tokeniser(size, width, max_tokens) for name, size in widths.items()}
        )
        self.transformer = Transformer(width, depth, heads, dropout)
        self.heads = TaskHeads(width, outputs)

    def forward(self, inputs: Mapping[str, Tensor], presence: Tensor) -> dict[str, Tensor]:
        """Fuse a batch.

        Args:
            inputs: modality -> float32 ``[B, D]`` (one token) or ``[B, T, D]``, and for
                tokens perhaps ``f"{name}_mask"`` -> bool ``[B, T]``.
            presence: bool ``[B, M]`` in the order of ``widths``.

        Returns:
            Task -> float32 logits ``[B, outputs[task]]``.
        """
        tokens, mask = gather(self.cls, self.enter, inputs, presence)
        logits: dict[str, Tensor] = self.heads(self.transformer(tokens, mask)[:, 0])
        return logits
