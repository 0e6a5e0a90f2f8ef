"""A small encoder of video clips: each frame by itself, then all of them over time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmedge.errors import ConfigError
from mmedge.models.image import ImageCNN
from mmedge.models.transformer import Transformer

__all__ = ["ClipOfFrames"]


class ClipOfFrames(nn.Module):
    """A convolutional network per frame and a transformer over time.

    The plan of the video transformer network (Neimark et al. 2021) and of the factorised
    encoder of ViViT (Arnab et al. 2021); attention spans the whole clip. Two-dimensional
    convolutions only: every INT8 kernel library has those.

    Args:
        channels: of a frame: 1 for grey, 3 for colour.
        frames: of a clip.
        width: channels after the first convolution.
        embedding: ``D``, length of the embedding or of each token.
        tokens: give one token per frame instead of their mean.
        depth: blocks of the transformer.
        heads: of attention.
        dropout: in the blocks.
    """

    def __init__(
        self,
        channels: int,
        frames: int,
        width: int,
        embedding: int,
        tokens: bool = False,
        *,
        depth: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.tokens = tokens
        self.frame = ImageCNN(channels, width, embedding)
        # Frames come with unit variance: beside it the usual 0.02 is hardly seen at first.
        self.position = nn.Parameter(torch.randn(1, frames, embedding) * 0.1)
        self.transformer = Transformer(embedding, depth, heads, dropout)

    def forward(self, clip: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            clip: float32 ``[B, frames, channels, H, W]``, normalised; ``H`` and ``W`` at
                least 8.

        Returns:
            Float32 ``[B, D]``, or ``[B, frames, D]`` with ``tokens``.

        Raises:
            ConfigError: the clips have another number of frames.
        """
        frames = self.position.shape[1]
        if clip.dim() != 5 or clip.shape[1] != frames:
            raise ConfigError(
                f"the clip encoder got {list(clip.shape)}, but has positions for "
                f"[B, {frames}, C, H, W]: build it for the number of frames that comes"
            )
        each: Tensor = self.frame(clip.flatten(0, 1)).unflatten(0, (-1, frames))
        encoded: Tensor = self.transformer(each + self.position)
        return encoded if self.tokens else encoded.mean(dim=1)
