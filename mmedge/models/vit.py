"""A small transformer encoder of pictures."""

from __future__ import annotations

from torch import Tensor, nn

from mmedge.models.patches import PatchTokens
from mmedge.models.transformer import Transformer

__all__ = ["ImageViT"]


class ImageViT(nn.Module):
    """Vision transformer (Dosovitskiy et al. 2021) over patches that do not overlap.

    The embedding is the mean over the patches instead of a token of its own: as good
    (their appendix D.3; Beyer et al. 2022), and the tokens are then the picture's only.

    Args:
        channels: of the picture: 1 for grey, 3 for colour.
        size: rows and columns of the picture; multiples of ``patch``.
        embedding: ``D``, length of the embedding or of each token.
        tokens: give one token per patch instead of their mean.
        patch: side of a patch.
        depth: blocks; none leaves a tokeniser for a joint transformer.
        heads: of attention.
        dropout: in the blocks.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        embedding: int,
        tokens: bool = False,
        *,
        patch: int = 8,
        depth: int = 4,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if size[0] % patch or size[1] % patch:
            raise ValueError(f"size={size} must be multiples of patch={patch}")
        self.tokens = tokens
        square = (patch, patch)
        self.patches = PatchTokens(channels, size, square, square, embedding)
        self.transformer = Transformer(embedding, depth, heads, dropout)

    def forward(self, image: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            image: float32 ``[B, channels, H, W]``, normalised, of the size that was named.

        Returns:
            Float32 ``[B, D]``, or ``[B, H / patch * W / patch, D]`` with ``tokens``, rows of
            the picture one after another.
        """
        encoded: Tensor = self.transformer(self.patches(image))
        return encoded if self.tokens else encoded.mean(dim=1)
