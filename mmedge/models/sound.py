"""A small convolutional encoder of log-mel spectrograms."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["SoundCNN"]


class SoundCNN(nn.Module):
    """Two-dimensional convolutions over mel and time, then bands become channels.

    Convolutions over a spectrogram as if it were a picture (Hershey et al. 2017), but
    not all the way: a shift in time is the same sound, a shift in mel is not, so the
    bands that are left go into one dense layer per moment and only time is pooled, by
    mean and maximum together (a short word in a long window survives the maximum; Kong
    et al. 2020).

    Args:
        mels: bands of the spectrogram.
        width: channels after the first convolution.
        embedding: ``D``, length of the embedding or of each token.
        tokens: give one token per moment (eight frames) instead of one embedding.
    """

    def __init__(self, mels: int, width: int, embedding: int, tokens: bool = False) -> None:
        super().__init__()
        self.tokens = tokens
        self.features = nn.Sequential(
            _block(1, width, stride=2),
            _block(width, 2 * width, stride=2),
            _block(2 * width, 2 * width, stride=1),
            _block(2 * width, 4 * width, stride=2),
        )
        bands = -(-mels // 8)
        self.moment = nn.Sequential(nn.Linear(4 * width * bands, 2 * embedding), nn.ReLU())
        self.project = nn.Linear(2 * embedding if tokens else 4 * embedding, embedding)
        self.norm = nn.LayerNorm(embedding)

    def forward(self, mel: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            mel: float32 ``[B, mels, T]``, logarithmic and normalised.

        Returns:
            Float32 ``[B, D]``, or ``[B, ceil(T / 8), D]`` with ``tokens``.
        """
        maps: Tensor = self.features(mel.unsqueeze(1))
        moments: Tensor = self.moment(maps.flatten(1, 2).transpose(1, 2))
        if not self.tokens:
            moments = torch.cat((moments.mean(dim=1), moments.amax(dim=1)), dim=1)
        embedding: Tensor = self.norm(self.project(moments))
        return embedding


def _block(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )
