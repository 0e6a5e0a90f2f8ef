"""Pictures and spectrograms cut into patches, and patches made into tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmedge.errors import ConfigError

__all__ = ["PatchTokens", "cut_patches"]


class PatchTokens(nn.Module):
    """One token per patch: a dense layer over its values plus a learned position.

    Patch embedding of Dosovitskiy et al. 2021; with a stride below the patch's size they
    overlap (Gong et al. 2021). What is left over at the lower and right edge is not seen.

    Args:
        channels: of the picture.
        size: rows and columns of the picture.
        patch: rows and columns of a patch.
        stride: from one patch to the next, down and to the right.
        width: ``D`` of a token.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        patch: tuple[int, int],
        stride: tuple[int, int],
        width: int,
    ) -> None:
        super().__init__()
        if any(of < cut for of, cut in zip(size, patch, strict=True)):
            raise ValueError(f"a picture of {size} has no patch of {patch}: make patches smaller")
        self.shape = (channels, *size)
        self.grid = tuple(
            (of - cut) // step + 1 for of, cut, step in zip(size, patch, stride, strict=True)
        )
        self.project = nn.Conv2d(channels, width, kernel_size=patch, stride=stride)
        count = self.grid[0] * self.grid[1]
        self.position = nn.Parameter(torch.randn(1, count, width) * 0.02)

    def forward(self, image: Tensor) -> Tensor:
        """Make tokens.

        Args:
            image: float32 ``[B, channels, *size]``.

        Returns:
            Float32 ``[B, N, D]``, rows of patches one after another.

        Raises:
            ConfigError: the picture has another size.
        """
        if tuple(image.shape[1:]) != self.shape:
            raise ConfigError(
                f"the encoder got {list(image.shape)}, but has positions for "
                f"[B, {', '.join(map(str, self.shape))}]: build it for the size that comes"
            )
        tokens: Tensor = self.project(image).flatten(2).transpose(1, 2)
        return tokens + self.position


def cut_patches(images: Tensor, patch: int) -> Tensor:
    """Cut pictures into square patches that do not overlap.

    Args:
        images: ``[B, C, H, W]``; ``H`` and ``W`` multiples of ``patch``.
        patch: side of a patch.

    Returns:
        ``[B, N, C * patch * patch]``, rows of patches one after another; in a patch,
        channel by channel and row by row.
    """
    cells = images.unflatten(3, (-1, patch)).unflatten(2, (-1, patch))
    return cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)
