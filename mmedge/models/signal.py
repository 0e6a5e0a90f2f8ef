"""A small convolutional encoder of numeric signals."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["SignalCNN"]


class SignalCNN(nn.Module):
    """One-dimensional convolutions over time, each at half the rate, then a mean.

    The fully convolutional network of Wang et al. 2017 ("Time series classification from
    scratch") with strides, so that the length of the window is not built in.

    Args:
        channels: of the signal: acceleration in x, y and z has three.
        width: channels after the first convolution.
        embedding: ``D``, length of the embedding or of each token.
        tokens: give one token per moment (eight samples) instead of their mean.
    """

    def __init__(self, channels: int, width: int, embedding: int, tokens: bool = False) -> None:
        super().__init__()
        self.tokens = tokens
        self.features = nn.Sequential(
            _block(channels, width, kernel=7),
            _block(width, 2 * width, kernel=5),
            _block(2 * width, 4 * width, kernel=3),
        )
        self.project = nn.Linear(4 * width, embedding)
        self.norm = nn.LayerNorm(embedding)

    def forward(self, signal: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            signal: float32 ``[B, T, channels]``, normalised; any ``T``.

        Returns:
            Float32 ``[B, D]``, or ``[B, ceil(T / 8), D]`` with ``tokens``.
        """
        moments: Tensor = self.features(signal.transpose(1, 2)).transpose(1, 2)
        embedding: Tensor = self.norm(self.project(moments if self.tokens else moments.mean(dim=1)))
        return embedding


def _block(before: int, after: int, kernel: int) -> nn.Sequential:
    # No bias: the normalisation that follows has its own.
    return nn.Sequential(
        nn.Conv1d(before, after, kernel, stride=2, padding=kernel // 2, bias=False),
        nn.BatchNorm1d(after),
        nn.ReLU(),
    )
