"""A small transformer encoder of log-mel spectrograms."""

from __future__ import annotations

from torch import Tensor, nn

from mmedge.models.patches import PatchTokens
from mmedge.models.transformer import Transformer

__all__ = ["SpectrogramTransformer"]


class SpectrogramTransformer(nn.Module):
    """Audio spectrogram transformer (Gong et al. 2021): a ViT over overlapping patches.

    The embedding is the mean over the patches, as in its self-supervised successor (SSAST,
    Gong et al. 2022), not a token of its own.

    Args:
        mels: bands of the spectrogram.
        frames: its moments; ``LogMel.frames(samples)`` says how many a window has.
        embedding: ``D``, length of the embedding or of each token.
        tokens: give one token per patch instead of their mean.
        patch: bands and frames of a patch.
        stride: bands and frames from one patch to the next.
        depth: blocks; none leaves a tokeniser for a joint transformer.
        heads: of attention.
        dropout: in the blocks.
    """

    def __init__(
        self,
        mels: int,
        frames: int,
        embedding: int,
        tokens: bool = False,
        *,
        patch: tuple[int, int] = (16, 16),
        stride: tuple[int, int] = (10, 10),
        depth: int = 4,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.tokens = tokens
        self.patches = PatchTokens(1, (mels, frames), patch, stride, embedding)
        self.transformer = Transformer(embedding, depth, heads, dropout)

    def forward(self, mel: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            mel: float32 ``[B, mels, frames]``, logarithmic and normalised.

        Returns:
            Float32 ``[B, D]``, or ``[B, N, D]`` with ``tokens``: all moments of the lowest
            bands, then those of the next.
        """
        encoded: Tensor = self.transformer(self.patches(mel.unsqueeze(1)))
        return encoded if self.tokens else encoded.mean(dim=1)
