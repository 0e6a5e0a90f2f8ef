"""Sound: channels, then sample rate, then the exact length of the encoder's window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmedge._optional import require
from mmedge.errors import ConfigError
from mmedge.specs import Sound

__all__ = ["Conformer", "Pcm", "SoundPreprocessor", "conform", "conform_blocks"]

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Pcm:
    """Sound samples and the rate at which they were taken.

    Attributes:
        samples: float32, full scale is [-1, 1], ``[N]`` or ``[C, N]``.
        rate_hz: samples per second and channel.

    Raises:
        ConfigError: another dtype or shape, or a rate that is not a positive integer.
    """

    samples: Samples
    rate_hz: int

    def __post_init__(self) -> None:
        _check_samples("Pcm", self.samples)
        # A bool is an int, and True Hz is nobody's sample rate.
        if type(self.rate_hz) is not int or self.rate_hz < 1:
            raise ConfigError(f"Pcm: rate_hz={self.rate_hz!r} must be a positive int")

    @property
    def channels(self) -> int:
        """Channels; 1 for ``[N]``."""
        return 1 if self.samples.ndim == 1 else int(self.samples.shape[0])

    @property
    def duration_ns(self) -> int:
        """Length in time, rounded down to a nanosecond."""
        return int(self.samples.shape[-1]) * 1_000_000_000 // self.rate_hz


class SoundPreprocessor:
    """Prepares windows of sound for one sound modality.

    Args:
        name: the modality's name, for messages.
        spec: rate, channels and length that the encoder was trained on.
    """

    def __init__(self, name: str, spec: Sound) -> None:
        self._name = name
        self._spec = spec

    def __call__(self, raw: Pcm | Samples) -> dict[str, Samples]:
        """Prepare one window.

        Args:
            raw: float32 PCM in [-1, 1], ``[N]`` or ``[C, N]``, at the model's rate; or a
                ``Pcm``, which is resampled where its rate differs.

        Returns:
            ``samples``: float32 ``[samples]`` for one channel, else ``[C, samples]``,
            contiguous. What is missing at the end is zero.

        Raises:
            ConfigError: another dtype, shape or number of channels came; the sound is
                empty, longer than a window, or holds a NaN or an infinity.
            MissingDependencyError: the rates differ, and soxr is not installed.
        """
        spec = self._spec
        if isinstance(raw, np.ndarray):
            _check_samples(f"modality '{self._name}'", raw)
            raw = Pcm(raw, spec.rate_hz)
        elif not isinstance(raw, Pcm):
            raise ConfigError(
                f"modality '{self._name}' takes float32 samples [N] or [C, N], or a "
                f"Pcm(samples, rate_hz), but got {type(raw).__name__}"
            )
        samples = conform(raw, spec, self._name)
        length = samples.shape[-1]
        if length > spec.samples:
            raise ConfigError(
                f"modality '{self._name}': {length} samples ({length / spec.rate_hz:.3f} s at "
                f"{spec.rate_hz} Hz) are more than one window of {spec.samples} "
                f"({spec.window_ms} ms); cut it into windows first (mmedge.runtime.windows)"
            )
        window = np.zeros((spec.channels, spec.samples), np.float32)
        window[:, :length] = samples
        return {"samples": window[0] if spec.channels == 1 else window}


def conform(pcm: Pcm, spec: Sound, name: str) -> Samples:
    """Bring a sound of any length to the encoder's channels and rate.

    Args:
        pcm: not empty.
        spec: the modality.
        name: the modality's name, for messages.

    Returns:
        float32 ``[spec.channels, n]`` at ``spec.rate_hz``; ``n`` is the same length in
        time, rounded to the nearest sample.

    Raises:
        ConfigError: the sound is empty, not finite, or has channels that the modality
            does not take.
        MissingDependencyError: the rates differ, and soxr is not installed.
    """
    if pcm.samples.shape[-1] == 0:
        raise ConfigError(
            f"modality '{name}': the sound is empty. A sound that is not there is an absent "
            "modality: leave it out"
        )
    return np.concatenate(list(conform_blocks([pcm], spec, name)), axis=1)


def conform_blocks(blocks: Iterable[Pcm], spec: Sound, name: str) -> Iterator[Samples]:
    """Do what `conform` does, block by block; the blocks join to the same bits.

    Args:
        blocks: consecutive pieces of one sound, of one rate.
        spec: the modality.
        name: the modality's name, for messages.

    Yields:
        float32 ``[spec.channels, n]`` at ``spec.rate_hz``. The resampler holds some
        milliseconds back; they come with a later block or at the end.

    Raises:
        ConfigError: as `conform`, or the rate changes.
        MissingDependencyError: as `conform`.
    """
    conformer = Conformer(spec, name)
    for block in blocks:
        yield conformer(block)
    yield conformer.finish()


class Conformer:
    """Brings one unbroken sound to the encoder's channels and rate, block by block.

    Args:
        spec: the modality.
        name: the modality's name, for messages.
    """

    def __init__(self, spec: Sound, name: str) -> None:
        self._spec = spec
        self._name = name
        self._rate_hz: int | None = None
        self._resample: _Resampler | None = None

    def __call__(self, block: Pcm) -> Samples:
        """Take the next block; what comes out and is raised is as for `conform_blocks`."""
        if self._rate_hz is None:
            self._rate_hz = block.rate_hz
            if block.rate_hz != self._spec.rate_hz:
                self._resample = _Resampler(block.rate_hz, self._spec, self._name)
        if self._rate_hz != block.rate_hz:
            raise ConfigError(
                f"modality '{self._name}': the sample rate changes from {self._rate_hz} to "
                f"{block.rate_hz} Hz; convert the sound to one rate"
            )
        samples = _mix(block.samples, self._spec, self._name)
        return samples if self._resample is None else self._resample(samples)

    def finish(self) -> Samples:
        """Give what the resampler still holds back; nothing may be fed afterwards."""
        nothing = np.zeros((self._spec.channels, 0), np.float32)
        return nothing if self._resample is None else self._resample(nothing, last=True)


class _Resampler:
    """soxr's HQ stream, which gives the same bits whatever the size of the blocks."""

    def __init__(self, rate_hz: int, spec: Sound, name: str) -> None:
        soxr = require("soxr", extra="live", why=f"modality '{name}' (for {rate_hz} Hz sound)")
        self._stream: Any = soxr.ResampleStream(
            rate_hz, spec.rate_hz, spec.channels, dtype="float32", quality="HQ"
        )

    def __call__(self, samples: Samples, last: bool = False) -> Samples:
        """Take and give ``[C, n]``; soxr itself has time first, and no axis for mono."""
        mono = len(samples) == 1
        chunk = samples[0] if mono else np.ascontiguousarray(samples.T)
        out: Samples = self._stream.resample_chunk(chunk, last=last)
        return np.atleast_2d(out.T)


def _mix(samples: Samples, spec: Sound, name: str) -> Samples:
    """Give finite samples ``[spec.channels, n]``."""
    samples = np.atleast_2d(samples)
    if not np.isfinite(samples).all():
        raise ConfigError(
            f"modality '{name}': the sound holds a NaN or an infinity; mend what made it"
        )
    came = len(samples)
    if came == spec.channels:
        return samples
    if came < spec.channels:
        raise ConfigError(
            f"modality '{name}' takes {spec.channels} channels, but the sound has {came}; "
            "record more channels, or export a model that hears fewer"
        )
    if spec.channels == 1 and spec.downmix == "mean":
        mean: Samples = np.mean(samples, axis=0, dtype=np.float32, keepdims=True)
        return mean
    if spec.channels == 1 and spec.downmix == "first":
        return samples[:1]
    remedy = "say how the model was trained: Sound(downmix='mean') or Sound(downmix='first'), or "
    raise ConfigError(
        f"modality '{name}' takes {spec.channels} channel(s), but the sound has {came}; "
        f"{remedy if spec.channels == 1 else ''}give it a sound with {spec.channels}"
    )


def _check_samples(owner: str, samples: object) -> None:
    if not isinstance(samples, np.ndarray):
        came = type(samples).__name__
    elif samples.dtype == np.float32 and (
        samples.ndim == 1 or (samples.ndim == 2 and len(samples) > 0)
    ):
        return
    else:
        came = f"{samples.dtype}{list(samples.shape)}"
    raise ConfigError(
        f"{owner} takes float32 samples in [-1, 1], as [N] or [C, N], but got {came}. "
        "Scale integers yourself (int16: x.astype(np.float32) / 32768)"
    )
