"""A small transformer encoder of texts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmedge.errors import ConfigError
from mmedge.models.pooling import masked_mean
from mmedge.models.transformer import Transformer

__all__ = ["TextTransformer"]


class TextTransformer(nn.Module):
    """Both directions at once, as BERT (Devlin et al. 2019), normalised first in each block.

    The embedding is the mean over the tokens (Sentence-BERT, Reimers and Gurevych 2019),
    so the tokenizer need not put a class token in front.

    Args:
        vocabulary: how many token ids there are.
        max_tokens: longest text that it has positions for.
        embedding: ``D``, length of the embedding or of each token.
        tokens: give every token and the mask instead of the mean over the text.
        depth: blocks; none leaves a tokeniser for a joint transformer.
        heads: of attention.
        dropout: in the blocks.
    """

    def __init__(
        self,
        vocabulary: int,
        max_tokens: int,
        embedding: int,
        tokens: bool = False,
        *,
        depth: int = 4,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.tokens = tokens
        self.table = nn.Embedding(vocabulary, embedding)
        nn.init.normal_(self.table.weight, std=0.02)  # BERT's; torch's own drowns the position
        self.position = nn.Parameter(torch.randn(1, max_tokens, embedding) * 0.02)
        self.enter = nn.LayerNorm(embedding)
        self.transformer = Transformer(embedding, depth, heads, dropout)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor | dict[str, Tensor]:
        """Encode a batch.

        Args:
            ids: int64 ``[B, L]`` in ``0 .. vocabulary - 1``; ``L`` at most ``max_tokens``.
            mask: int64 ``[B, L]``: 1 where a token stands, 0 in the padding.

        Returns:
            Float32 ``[B, D]``, the mean over the tokens (zeros for an empty text); or with
            ``tokens`` the dict ``{"tokens": float32 [B, L, D], "mask": bool [B, L]}``.

        Raises:
            ConfigError: the texts are longer than there are positions.
        """
        length, longest = ids.shape[1], self.position.shape[1]
        if length > longest:
            raise ConfigError(
                f"the text encoder got {length} tokens, but has positions for {longest}: "
                "cut the texts, or build it with a larger max_tokens"
            )
        stands = mask > 0
        entered = self.enter(self.table(ids) + self.position[:, :length])
        encoded: Tensor = self.transformer(entered, stands)
        if self.tokens:
            return {"tokens": encoded, "mask": stands}
        return masked_mean(encoded, stands)
