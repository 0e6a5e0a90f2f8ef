"""Is an input spoiled? A camera in the dark is not an absent one, and a silent microphone hears."""

from __future__ import annotations

import zlib
from typing import Protocol

import numpy as np

from mmedge.runtime.preprocess import Picture
from mmedge.runtime.rings import Window
from mmedge.runtime.windows.cut import NS_PER_MS
from mmedge.specs import Image, ImageQuality, Modality, Sound, SoundQuality

__all__ = ["QualityWatch", "make_watch"]

_LOOKED_AT = 32
"""So many rows of a picture are looked at, or a few more, and columns as far apart."""
_EVERY_NS = 100 * NS_PER_MS
"""From one look at a picture to the next, at least; in between the last verdict holds."""
_FULL_SCALE = 0.999


class QualityWatch(Protocol):
    """Looks at the windows of one modality, in order."""

    def __call__(self, window: Window) -> tuple[str, ...]:
        """Name what is wrong with a window; nothing if nothing is."""
        ...


def make_watch(modality: Modality) -> QualityWatch:
    """Make what watches a modality's input."""
    if isinstance(modality, Image):
        return _Pictures(modality.quality)
    if isinstance(modality, Sound):
        return _Sounds(modality.quality)
    return lambda window: ()


class _Pictures:
    def __init__(self, limits: ImageQuality) -> None:
        self._limits = limits
        self._seen = 0
        self._since_ns = 0
        self._looked_ns: int | None = None
        self._verdict: tuple[str, ...] = ()

    def __call__(self, window: Window) -> tuple[str, ...]:
        last_ns = self._looked_ns
        if window.reset or last_ns is None or window.end_ns - last_ns >= _EVERY_NS:
            self._looked_ns, self._verdict = window.end_ns, self._look(window)
        return self._verdict

    def _look(self, window: Window) -> tuple[str, ...]:
        assert isinstance(window.raw, Picture)
        pixels = window.raw.pixels
        newest = pixels[-1] if pixels.ndim == 4 else pixels
        step = max(1, min(newest.shape[:2]) // _LOOKED_AT)
        few = np.ascontiguousarray(newest[::step, ::step])
        complaints = []
        values = few.reshape(-1).astype(np.float32)
        mean = np.add.reduce(values) / np.float32(len(values))
        if mean < self._limits.dark:
            complaints.append("dark")
        values -= mean
        if np.dot(values, values) < self._limits.covered**2 * len(values):  # standard deviation
            complaints.append("covered")
        seen = zlib.crc32(few.data)
        if seen != self._seen or window.reset:
            self._seen, self._since_ns = seen, window.end_ns
        elif window.end_ns - self._since_ns >= self._limits.frozen_ms * NS_PER_MS:
            complaints.append("frozen")
        return tuple(complaints)


class _Sounds:
    def __init__(self, limits: SoundQuality) -> None:
        self._limits = limits

    def __call__(self, window: Window) -> tuple[str, ...]:
        samples = np.asarray(window.raw, np.float32).reshape(-1)
        complaints = []
        power = float(np.dot(samples, samples)) / len(samples)
        if power < 10 ** (self._limits.silent_dbfs / 10):
            complaints.append("silent")
        if np.count_nonzero(np.abs(samples) >= _FULL_SCALE) >= self._limits.clipped * len(samples):
            complaints.append("clipped")
        if abs(window.rate_ppm) > self._limits.rate_ppm:
            complaints.append("wrong rate")
        return tuple(complaints)
