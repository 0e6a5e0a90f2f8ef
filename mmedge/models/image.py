"""A small convolutional encoder of pictures."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["ImageCNN"]


class ImageCNN(nn.Module):
    """Pairs of 3x3 convolutions, each pair at half the resolution and twice the width.

    The plan of VGG (Simonyan and Zisserman 2015) with batch normalisation (Ioffe and
    Szegedy 2015) and a mean over the last map instead of large dense layers (Lin et
    al. 2014), so that the size of the picture is not built in.

    Args:
        channels: of the picture: 1 for grey, 3 for colour.
        width: channels after the first convolution.
        embedding: ``D``, length of the embedding or of each token.
        tokens: give one token per cell of the last map instead of their mean.
    """

    def __init__(self, channels: int, width: int, embedding: int, tokens: bool = False) -> None:
        super().__init__()
        self.tokens = tokens
        self.features = nn.Sequential(
            _block(channels, width, stride=1),
            _block(width, 2 * width, stride=2),
            _block(2 * width, 2 * width, stride=1),
            _block(2 * width, 4 * width, stride=2),
            _block(4 * width, 4 * width, stride=1),
            _block(4 * width, 8 * width, stride=2),
        )
        self.project = nn.Linear(8 * width, embedding)
        self.norm = nn.LayerNorm(embedding)

    def forward(self, image: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            image: float32 ``[B, channels, H, W]``, normalised; ``H`` and ``W`` at least 8.

        Returns:
            Float32 ``[B, D]``, or ``[B, ceil(H / 8) * ceil(W / 8), D]`` with ``tokens``,
            rows of the picture one after another.
        """
        cells: Tensor = self.features(image).flatten(2).transpose(1, 2)
        embedding: Tensor = self.norm(self.project(cells if self.tokens else cells.mean(dim=1)))
        return embedding


def _block(before: int, after: int, stride: int) -> nn.Sequential:
    # No bias: the normalisation that follows has its own.
    return nn.Sequential(
        nn.Conv2d(before, after, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )
