"""A small recurrent encoder of short texts."""

from __future__ import annotations

from torch import Tensor, nn

from mmedge.models.pooling import masked_mean

__all__ = ["TextLSTM"]


class TextLSTM(nn.Module):
    """Token embeddings and an LSTM (Hochreiter and Schmidhuber 1997), left to right.

    It reads in one direction only, so the padding on the right can change nothing that
    stands before it and the batch needs no packing.

    Args:
        vocabulary: how many token ids there are.
        embedding: ``D``, length of the embedding or of each token.
        tokens: give every token and the mask instead of the mean over the text.
    """

    def __init__(self, vocabulary: int, embedding: int, tokens: bool = False) -> None:
        super().__init__()
        self.tokens = tokens
        self.table = nn.Embedding(vocabulary, embedding)
        self.lstm = nn.LSTM(embedding, embedding, batch_first=True)
        self.norm = nn.LayerNorm(embedding)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor | dict[str, Tensor]:
        """Encode a batch.

        Args:
            ids: int64 ``[B, L]`` in ``0 .. vocabulary - 1``.
            mask: int64 ``[B, L]``: 1 where a token stands, 0 in the padding on the right.

        Returns:
            Float32 ``[B, D]``, the mean over the tokens (zeros for an empty text); or with
            ``tokens`` the dict ``{"tokens": float32 [B, L, D], "mask": bool [B, L]}``.
        """
        states, _ = self.lstm(self.table(ids))
        tokens: Tensor = self.norm(states)
        stands = mask > 0
        if self.tokens:
            return {"tokens": tokens, "mask": stands}
        return masked_mean(tokens, stands)
