"""The log-mel front-end as ordinary operators: Pad, Conv, Mul, MatMul, Max and Log."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mmedge.errors import ConfigError
from mmedge.models import mel
from mmedge.specs import LogMel

__all__ = ["LogMelFrontEnd"]


class LogMelFrontEnd(nn.Module):
    """Turns sound into the log-mel spectrogram that a `LogMel` describes.

    The Fourier transform is a convolution with ``hop`` as its stride, because
    TensorRT 10.3 has no STFT operator (and ONNX Runtime's is slower). Bins that no mel
    triangle uses are not computed.

    Precision: all is float32, under autocast too. The rounding of a float32 transform is
    a fraction of the loudest bin in a frame, whatever the algorithm, so bands far below
    that bin are less exact, here as in ``torch.stft`` on float32. Against float64 and in
    natural-log units, a band's error is at most 1e-4 down to 40 dB below the loudest bin
    of the frame as it came in (with its mean, not pre-emphasised), and ten times that for
    every 20 dB further. The tests hold it; half of it was met. Of recorded speech at 16 kHz,
    99 % of the bands were within 1.1e-4 (``torch.stft`` on float32: 3.7e-4), all in 9e-4.

    TF32, which cuDNN and TensorRT use for float32 convolutions unless told not to, rounds
    8,192 times as coarsely: simulated, it put one in ten of the bands that lie 60 to 70 dB
    down off by more than 0.1. It is switched off here while the module runs; engines must
    be built without it.

    Args:
        spec: the front-end's parameters.
        rate_hz: samples per second.
    """

    kernels: Tensor
    bank: Tensor

    def __init__(self, spec: LogMel, rate_hz: int) -> None:
        super().__init__()
        self.spec = spec
        bank = mel.mel_bank(spec, rate_hz)
        bins = np.flatnonzero(bank.any(axis=0))
        basis = mel.fourier_basis(spec, bins)
        # Power is re * re + im * im: one bank for both does that sum in the same product.
        weights = np.tile(bank[:, bins], 2) if spec.power == 2 else bank[:, bins]
        kernels = np.concatenate([basis.real, basis.imag])[:, None]
        # Not persistent: they follow from the spec, so a checkpoint need not carry them.
        self.register_buffer("kernels", torch.tensor(kernels, dtype=torch.float32), False)
        self.register_buffer("bank", torch.tensor(weights, dtype=torch.float32), False)

    def forward(self, samples: Tensor) -> Tensor:
        """Compute the spectrogram.

        Args:
            samples: float32 PCM in [-1, 1], ``[B, N]`` or ``[B, C, N]``.

        Returns:
            float32 ``[B, mels, T]`` or ``[B, T, mels]`` by ``spec.layout``, with ``C``
            after ``B`` where it was; ``T = spec.frames(N)``. Silence gives finite values.
        """
        self._check(samples)
        kind = samples.device.type
        lowers = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
        # An export runs on the CPU and without autocast, so it traces no switches.
        if not (lowers or samples.is_cuda):
            return self._transform(samples)
        with torch.autocast(kind, enabled=False), _without_tf32():
            return self._transform(samples)

    def _transform(self, samples: Tensor) -> Tensor:
        rows = samples.flatten(0, 1) if samples.ndim == 3 else samples
        logs = self._log(self._bands(self._pad(rows.unsqueeze(1))))
        if self.spec.layout == "time_mel":
            logs = logs.transpose(1, 2)
        return logs.unflatten(0, (-1, samples.shape[1])) if samples.ndim == 3 else logs

    def _check(self, samples: Tensor) -> None:
        if samples.dtype != torch.float32 or samples.ndim not in (2, 3):
            raise ConfigError(
                f"The log-mel front-end got {samples.dtype} {list(samples.shape)}, but expects "
                "float32 PCM [B, N] or [B, C, N]."
            )
        least = self.spec.fft_size // 2 + 1 if self.spec.center else self.spec.frame_size
        if samples.shape[-1] < least or self.spec.frames(samples.shape[-1]) < 1:
            raise ConfigError(
                f"{samples.shape[-1]} samples are too few for one log-mel frame of "
                f"{self.spec.frame_size} (fft_size={self.spec.fft_size}, "
                f"center={self.spec.center}). Lengthen the window."
            )

    def _pad(self, rows: Tensor) -> Tensor:
        """Reflect ``[R, 1, N]`` at its ends, just as far as the frames reach."""
        spec, samples = self.spec, rows.shape[-1]
        # torch.stft centres the frame in fft_size and pads for that; zeros need no padding.
        left = spec.fft_size // 2 - (spec.fft_size - spec.frame_size) // 2 if spec.center else 0
        reach = (spec.frames(samples) - 1) * spec.hop + spec.frame_size
        right = max(reach - left - samples, 0)
        if left or right:
            rows = functional.pad(rows, (left, right), mode="reflect")
        # Fewer left-over samples than a hop make no frame: the convolution ignores them.
        return rows[..., :reach] if left + samples + right - reach >= spec.hop else rows

    def _bands(self, rows: Tensor) -> Tensor:
        """Transform and gather: ``[R, 1, N]`` to mel bands ``[R, mels, T]``, not negative."""
        parts = functional.conv1d(rows, self.kernels, stride=self.spec.hop)
        squares = parts * parts
        if self.spec.power == 1:
            real, imaginary = squares.chunk(2, dim=1)
            squares = (real + imaginary).sqrt()
        return self.bank @ squares

    def _log(self, bands: Tensor) -> Tensor:
        """Logarithm of ``[R, mels, T]``, its range limited, then normalised."""
        spec = self.spec
        lifted = bands + spec.floor if spec.floor_by == "add" else bands.clamp(min=spec.floor)
        logs = lifted.log()
        per_nat = {"ln": 1.0, "log10": 1.0, "db": 20.0 / spec.power}[spec.log]
        if spec.log != "ln":
            per_nat /= math.log(10)
        if spec.span is not None:
            logs = logs.maximum(logs.amax(dim=(1, 2), keepdim=True) - spec.span / per_nat)
        return logs * (per_nat / spec.std) - spec.mean / spec.std


@contextmanager
def _without_tf32() -> Iterator[None]:
    """Let cuDNN convolve in real float32, whatever the caller chose for the rest."""
    backend: Any = torch.backends.cudnn  # its attributes are made when it is imported
    convolutions = backend.conv
    chosen = convolutions.fp32_precision
    convolutions.fp32_precision = "ieee"
    try:
        yield
    finally:
        convolutions.fp32_precision = chosen
