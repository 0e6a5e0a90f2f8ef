"""The transformer that encoders and fusion heads share, in plain products.

``nn.MultiheadAttention`` and ``nn.TransformerEncoder`` switch to fused kernels in evaluation,
which fix the batch size when they are exported; what stands here stays a handful of MatMuls.
"""

from __future__ import annotations

from torch import Tensor, nn

from mmedge.models.pooling import masked_softmax

__all__ = ["Transformer", "TransformerBlock", "attend"]


def attend(
    query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Tensor | None = None
) -> Tensor:
    """``softmax(Q K^T / sqrt(d)) V`` with several heads (Vaswani et al. 2017).

    Args:
        query: float32 ``[B, Q, D]``, or ``[1, Q, D]`` for the same ones in every row.
        key: float32 ``[B, T, D]``.
        value: float32 ``[B, T, D]``; finite, where ``mask`` is false too.
        heads: of attention; divides ``D``.
        mask: bool ``[B, T]``: tokens that may be looked at; ``None`` means all. A row
            without any looks at all of them evenly, which is finite and means nothing.

    Returns:
        Float32 ``[B, Q, D]``.
    """
    query, key, value = (
        part.unflatten(2, (heads, -1)).transpose(1, 2) for part in (query, key, value)
    )
    scores = query @ key.transpose(2, 3) / query.shape[3] ** 0.5
    if mask is None:
        weights = scores.softmax(dim=3)
    else:
        weights = masked_softmax(scores, mask[:, None, None, :], dim=3)
    return (weights @ value).transpose(1, 2).flatten(2)


class TransformerBlock(nn.Module):
    """Self-attention, then two dense layers, each normalised first and added to its input.

    Normalising first (Xiong et al. 2020) trains without a warm-up; GELU is BERT's.

    Args:
        width: ``D`` of every token; a multiple of ``heads``.
        heads: of attention.
        expansion: the dense layers are this much wider inside.
        dropout: share of what is added that is dropped in training.
    """

    def __init__(self, width: int, heads: int, expansion: int = 4, dropout: float = 0.1) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width={width} must be a multiple of heads={heads}")
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.leave = nn.Linear(width, width), nn.Linear(width, width)
        self.mix = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, expansion * width),
            nn.GELU(),
            nn.Linear(expansion * width, width),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Let every token look at those that count.

        Args:
            tokens: float32 ``[B, T, D]``.
            mask: bool ``[B, T]``: tokens that count; ``None`` means all.

        Returns:
            Float32 ``[B, T, D]``; finite but without meaning where ``mask`` is false.
        """
        seen = self.before_attention(tokens)
        found = attend(self.query(seen), self.key(seen), self.value(seen), self.heads, mask)
        tokens = tokens + self.dropout(self.leave(found))
        return tokens + self.dropout(self.mix(tokens))


class Transformer(nn.Module):
    """Blocks one after another and a normalisation at the end.

    With ``depth=0`` it only normalises: an encoder built on it is then a tokeniser, whose
    tokens a joint transformer takes.

    Args:
        width: ``D`` of every token; a multiple of ``heads``.
        depth: how many blocks.
        heads: of attention, in each block.
        dropout: share of what each block adds that is dropped in training.
    """

    def __init__(self, width: int, depth: int, heads: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [TransformerBlock(width, heads, dropout=dropout) for _ in range(depth)]
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode; arguments and result are those of :class:`TransformerBlock`."""
        for block in self.blocks:
            tokens = block(tokens, mask)
        encoded: Tensor = self.norm(tokens)
        return encoded
