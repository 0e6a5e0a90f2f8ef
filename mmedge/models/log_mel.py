"""The log-mel front-end as ordinary operators: Pad, Slice, Concat, Mul, MatMul, Max and Log."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from mmedge.errors import ConfigError
from mmedge.models import mel
from mmedge.specs import LogMel

__all__ = ["LogMelFrontEnd"]


class LogMelFrontEnd(nn.Module):
    """Turns sound into the log-mel spectrogram that a `LogMel` describes.

    The Fourier transform is a product with a matrix, because TensorRT 10.3 has no STFT
    operator (and ONNX Runtime's is slower). Of an even ``fft_size``, it is halved first: the
    sum of a frame's halves has its even bins, their difference its odd ones (the first step
    of Gentleman and Sande's transform, AFIPS 1966; a second step saved a tenth more). Bins
    that no mel triangle uses are not computed.

    Precision: all is float32, under autocast too. The rounding of a float32 transform is
    a fraction of the loudest bin in a frame, whatever the algorithm, so bands far below
    that bin are less exact, here as in ``torch.stft`` on float32. Against float64 and in
    natural-log units, a band's error is at most 1e-4 down to 40 dB below the loudest bin
    of the frame as it came in (with its mean, not pre-emphasised), and ten times that for
    every 20 dB further. The tests hold it; half of it was met. They also hold the error that
    99 % of the bands are within against that of ``torch.stft`` on float32: of noisy sounds it
    is smaller, of pure tones, whose other bands are all rounding, less than twice as large
    (up to 0.1 in the worst band; there ``torch.stft`` and ONNX Runtime's STFT fare alike).

    TF32, which TensorRT uses for float32 products unless told not to (and PyTorch where it
    is allowed), rounds 8,192 times as coarsely: simulated, it put one in ten of the bands
    that lie 60 to 70 dB down off by more than 0.1. It is switched off here while the module
    runs; engines must be built without it.

    Args:
        spec: the front-end's parameters.
        rate_hz: samples per second.
    """

    taper: Tensor
    basis: Tensor
    odd_basis: Tensor | None
    bank: Tensor

    def __init__(self, spec: LogMel, rate_hz: int) -> None:
        super().__init__()
        self.spec = spec
        bank = mel.mel_bank(spec, rate_hz)
        bins = np.flatnonzero(bank.any(axis=0))
        even, odd = bins[bins % 2 == 0], bins[bins % 2 == 1]
        halves = spec.fft_size % 2 == 0 and len(even) > 0 and len(odd) > 0
        groups, taps = ([even, odd], spec.fft_size // 2) if halves else ([bins], spec.fft_size)
        taper = np.zeros(spec.fft_size)
        taper[: spec.frame_size] = mel.taper(spec)
        bases = [mel.fourier_basis(spec.fft_size, group, taps) for group in groups]
        self._hold("taper", taper)
        self._hold("basis", bases[0])
        self._hold("odd_basis", bases[1] if halves else None)
        self._hold("bank", bank[:, np.concatenate(groups)].T)

    def _hold(self, name: str, values: npt.NDArray[np.float64] | None) -> None:
        """Keep a constant, rounded here and only here, where `Module.to` finds it."""
        rounded = None if values is None else torch.tensor(values, dtype=torch.float32)
        # Not persistent: it follows from the spec, so a checkpoint need not carry it.
        self.register_buffer(name, rounded, persistent=False)

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
        frames = self._prepare(self._frames(rows))
        logs = self._log(torch.matmul(self._powers(frames), self.bank))
        if self.spec.layout == "mel_time":
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

    def _frames(self, rows: Tensor) -> Tensor:
        """Cut ``[R, N]`` into ``[R, T, fft_size]``; what follows a frame is yet to be tapered."""
        spec, count = self.spec, self.spec.frames(rows.shape[-1])
        rows = self._reflect(rows, (count - 1) * spec.hop + spec.frame_size)
        # Blocks of a hop, side by side: copied whole, where a gather takes sample by sample.
        blocks = math.ceil(spec.fft_size / spec.hop)
        reach = (count - 1 + blocks) * spec.hop
        if reach > rows.shape[-1]:
            rows = functional.pad(rows, (0, reach - rows.shape[-1]))
        hops = rows[:, :reach].unflatten(1, (-1, spec.hop))
        return torch.cat([hops[:, n : n + count] for n in range(blocks)], 2)[..., : spec.fft_size]

    def _reflect(self, rows: Tensor, reach: int) -> Tensor:
        """Reflect ``[R, N]`` at its ends, just as far as the frames reach."""
        spec = self.spec
        # torch.stft centres the frame in fft_size and pads for that; zeros need no padding.
        left = spec.fft_size // 2 - (spec.fft_size - spec.frame_size) // 2 if spec.center else 0
        right = max(reach - left - rows.shape[-1], 0)
        return functional.pad(rows, (left, right), mode="reflect") if left or right else rows

    def _prepare(self, frames: Tensor) -> Tensor:
        """Kaldi's order: the mean removed, pre-emphasised, tapered (to zeros after the frame)."""
        spec = self.spec
        if spec.remove_dc:
            frames = frames - frames[..., : spec.frame_size].mean(dim=2, keepdim=True)
        if spec.preemphasis:
            before = torch.cat([frames[..., :1], frames[..., :-1]], dim=2)
            frames = frames - spec.preemphasis * before
        return frames * self.taper

    def _powers(self, frames: Tensor) -> Tensor:
        """Transform ``[R, T, fft_size]`` to ``|X| ** power``: ``[R, T, bins]``, as in the bank."""
        if self.odd_basis is None:
            return self._power(frames, self.basis)
        # Half a frame later, an even bin's wave is the same and an odd bin's is negative.
        half = self.spec.fft_size // 2
        first, second = frames[..., :half], frames[..., half:]
        even, odd = (first + second, self.basis), (first - second, self.odd_basis)
        return torch.cat([self._power(*even), self._power(*odd)], dim=2)

    def _power(self, samples: Tensor, basis: Tensor) -> Tensor:
        parts, bins = torch.matmul(samples, basis), basis.shape[1] // 2
        # Not chunk: torch exports that as a Split without a name.
        real, imaginary = parts[..., :bins], parts[..., bins:]
        power = real * real + imaginary * imaginary
        return power.sqrt() if self.spec.power == 1 else power

    def _log(self, bands: Tensor) -> Tensor:
        """Logarithm of ``[R, T, mels]``, its range limited, then normalised."""
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
    """Let cuBLAS multiply in real float32, whatever the caller chose for the rest."""
    products: Any = torch.backends.cuda.matmul
    chosen = products.fp32_precision
    products.fp32_precision = "ieee"
    try:
        yield
    finally:
        products.fp32_precision = chosen
