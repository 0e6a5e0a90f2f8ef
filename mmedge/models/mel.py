"""Mel banks, tapers and Fourier bases: the constants of a log-mel front-end, in numpy.

All are computed in float64; the front-end rounds them once, to float32.
"""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
import numpy.typing as npt

from mmedge.errors import ConfigError
from mmedge.specs import LogMel

__all__ = ["fourier_basis", "hz_to_mel", "mel_bank", "mel_to_hz", "taper"]

Array = npt.NDArray[np.float64]
Scale = Literal["htk", "slaney", "kaldi"]

# Slaney's scale: linear, three mels in 200 Hz, up to 1 kHz; then 27 mels per factor 6.4.
_SLANEY_HZ_PER_MEL = 200 / 3
_SLANEY_KNEE_HZ = 1000.0
_SLANEY_KNEE_MEL = _SLANEY_KNEE_HZ / _SLANEY_HZ_PER_MEL
_SLANEY_LOG_STEP = np.log(6.4) / 27

# HTK's and Kaldi's scales differ by 1e-5 only: 1127 is 2595 / ln 10, rounded.
_LOG_MELS = {"htk": 2595 / np.log(10), "kaldi": 1127.0}

_logger = logging.getLogger(__name__)


def hz_to_mel(hz: npt.ArrayLike, scale: Scale) -> Array:
    """Convert frequencies to mels.

    ``htk`` is O'Shaughnessy's formula (Speech Communication, 1987) with the constants
    of the HTK book, ``kaldi`` the same with Kaldi's; ``slaney`` is Slaney's (Auditory
    Toolbox, Interval Research 1998-010).

    Args:
        hz: frequencies, Hz, any shape.
        scale: name of the scale.

    Returns:
        Mels, float64, in the shape of ``hz``.
    """
    values = np.asarray(hz, np.float64)
    if scale != "slaney":
        return np.asarray(_LOG_MELS[scale] * np.log1p(values / 700))
    above = np.log(np.maximum(values, _SLANEY_KNEE_HZ) / _SLANEY_KNEE_HZ) / _SLANEY_LOG_STEP
    return np.asarray(np.minimum(values, _SLANEY_KNEE_HZ) / _SLANEY_HZ_PER_MEL + above)


def mel_to_hz(mels: npt.ArrayLike, scale: Scale) -> Array:
    """Convert mels to frequencies: the inverse of `hz_to_mel`.

    Args:
        mels: float64, any shape.
        scale: name of the scale.

    Returns:
        Frequencies, Hz, float64, in the shape of ``mels``.
    """
    values = np.asarray(mels, np.float64)
    if scale != "slaney":
        return np.asarray(700 * np.expm1(values / _LOG_MELS[scale]))
    above = np.exp(np.maximum(values - _SLANEY_KNEE_MEL, 0) * _SLANEY_LOG_STEP)
    return np.asarray(np.minimum(values, _SLANEY_KNEE_MEL) * _SLANEY_HZ_PER_MEL * above)


def mel_bank(spec: LogMel, rate_hz: int) -> Array:
    """Compute the triangles that gather a spectrum's bins into mel bands.

    Neighbours overlap by half: each rises from the peak of the one before and falls to
    the peak of the one after (Davis and Mermelstein, IEEE TASSP 1980). The slopes are
    straight over Hz, for ``kaldi`` over mels.

    Args:
        spec: the front-end's parameters.
        rate_hz: samples per second.

    Returns:
        Weights, float64 ``[mels, fft_size // 2 + 1]``. A triangle that is narrower than
        the bins' spacing may miss them all; its row is zero (as in AST's own bank).

    Raises:
        ConfigError: the bank reaches above half the sample rate, or no bin is inside it.
    """
    high_hz = rate_hz / 2 if spec.high_hz is None else spec.high_hz
    if not spec.low_hz < high_hz <= rate_hz / 2:
        raise ConfigError(
            f"A mel bank from {spec.low_hz} to {high_hz} Hz does not fit into the spectrum of "
            f"rate_hz={rate_hz}, which ends at {rate_hz / 2} Hz. Change low_hz or high_hz."
        )
    ends_mel = hz_to_mel([spec.low_hz, high_hz], spec.mel)
    edges_mel = np.linspace(ends_mel[0], ends_mel[1], spec.mels + 2)
    edges_hz = mel_to_hz(edges_mel, spec.mel)
    bins_hz = np.arange(spec.fft_size // 2 + 1, dtype=np.float64) * rate_hz / spec.fft_size
    if spec.mel == "kaldi":
        bank = _triangles(edges_mel, hz_to_mel(bins_hz, "kaldi"))
    else:
        bank = _triangles(edges_hz, bins_hz)
    _check_coverage(bank, spec, rate_hz)
    return bank * (2 / (edges_hz[2:] - edges_hz[:-2])[:, None]) if spec.norm else bank


def _triangles(edges: Array, bins: Array) -> Array:
    """Evaluate triangles between neighbouring ``edges`` at ``bins``: ``[edges - 2, bins]``."""
    gaps = np.diff(edges)[:, None]
    rising = (bins - edges[:-2, None]) / gaps[:-1]
    falling = (edges[2:, None] - bins) / gaps[1:]
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))


def _check_coverage(bank: Array, spec: LogMel, rate_hz: int) -> None:
    empty = int(np.count_nonzero(~bank.any(axis=1)))
    if empty == spec.mels:
        raise ConfigError(
            f"No bin of fft_size={spec.fft_size} at rate_hz={rate_hz} lies inside the mel bank. "
            "Raise fft_size, or widen low_hz .. high_hz."
        )
    if empty:
        _logger.info("%d of %d mel triangles are too narrow to hold a bin", empty, spec.mels)


def taper(spec: LogMel) -> Array:
    """Compute the taper of a frame, float64 ``[frame_size]``.

    ``povey`` is Kaldi's default, a symmetric Hann window to the power of 0.85.
    """
    if spec.window == "rectangular":
        return np.ones(spec.frame_size)
    period = spec.frame_size if spec.periodic else spec.frame_size - 1
    wave = np.cos(2 * np.pi * np.arange(spec.frame_size) / period)
    if spec.window == "hamming":
        return np.asarray(0.54 - 0.46 * wave)
    hann = np.maximum(0.5 - 0.5 * wave, 0)  # cos rounds to just above 1 at a symmetric end
    return np.asarray(hann**0.85 if spec.window == "povey" else hann)


def fourier_basis(fft_size: int, bins: npt.NDArray[np.intp], taps: int) -> Array:
    """Compute the columns whose products with samples are parts of their spectrum.

    Args:
        fft_size: length of the transform.
        bins: which bins of the transform, ``[K]``.
        taps: how many samples, from the transform's first on.

    Returns:
        float64 ``[taps, 2 * K]``: the real parts, then the imaginary ones.
    """
    # The product is reduced as an integer, so that large angles lose no digits.
    turns = np.outer(np.arange(taps), bins) % fft_size
    basis = np.exp(-2j * np.pi / fft_size * turns)
    return np.concatenate([basis.real, basis.imag], axis=1)
