"""The front-ends of pictures (uint8 to float32, channels first), signals and raw sound."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmedge.errors import ConfigError
from mmedge.specs import Image, Signal

__all__ = ["NormaliseFrontEnd", "StandardiseFrontEnd", "StandardiseWindow"]


class NormaliseFrontEnd(nn.Module):
    """Computes ``(x * scale - mean) / std`` per channel, as an `Image` describes it.

    The order is Cast, Transpose, Mul, Add: TensorRT refuses to transpose uint8, and the
    normalisation folds into one factor and one offset. Resizing and the order of the
    colours are settled before the graph.

    Args:
        spec: the picture's parameters.
    """

    factor: Tensor
    offset: Tensor

    def __init__(self, spec: Image) -> None:
        super().__init__()
        self.spec = spec
        mean = torch.tensor(spec.mean, dtype=torch.float64)[:, None, None]
        std = torch.tensor(spec.std, dtype=torch.float64)[:, None, None]
        # Not persistent: they follow from the spec, so a checkpoint need not carry them.
        self.register_buffer("factor", (spec.scale / std).float(), False)
        self.register_buffer("offset", (-mean / std).float(), False)

    def forward(self, frames: Tensor) -> Tensor:
        """Normalise.

        Args:
            frames: uint8, ``[B, H, W, C]``, or ``[B, T, H, W, C]`` for clips.

        Returns:
            float32 ``[B, C, H, W]`` or ``[B, T, C, H, W]``.
        """
        spec = self.spec
        shape = [spec.height, spec.width, spec.channels]
        if spec.frames > 1:
            shape.insert(0, spec.frames)
        if frames.dtype != torch.uint8 or list(frames.shape[1:]) != shape:
            raise ConfigError(
                f"The picture front-end got {frames.dtype} {list(frames.shape)}, but expects "
                f"torch.uint8 [B, {', '.join(map(str, shape))}]."
            )
        pixels = frames.to(torch.float32).movedim(-1, -3)
        return pixels * self.factor + self.offset


class StandardiseFrontEnd(nn.Module):
    """Computes ``(x - mean) / std`` per channel of a signal, as a `Signal` describes it.

    Args:
        spec: the signal's parameters.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: Signal) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(spec.mean), False)
        self.register_buffer("std", torch.tensor(spec.std), False)

    def forward(self, values: Tensor) -> Tensor:
        """Standardise float32 ``[B, T, C]``; the shape stays."""
        return (values - self.mean) / self.std


class StandardiseWindow(nn.Module):
    """Brings each window of sound to mean 0 and deviation 1.

    As ``Wav2Vec2FeatureExtractor`` in transformers does: the variance is that of all samples,
    and 1e-7 is added to it, so that silence stays silence.
    """

    def forward(self, samples: Tensor) -> Tensor:
        """Standardise float32 ``[B, N]`` or ``[B, C, N]``, each channel by itself."""
        centred = samples - samples.mean(dim=-1, keepdim=True)
        variance = centred.square().mean(dim=-1, keepdim=True)
        return centred / (variance + 1e-7).sqrt()
