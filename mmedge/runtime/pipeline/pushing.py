"""Samples from apps that own their devices: checked, stamped, and told apart by their type."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from mmedge.bundle import Bundle
from mmedge.errors import ConfigError
from mmedge.runtime.preprocess import Pcm, Picture
from mmedge.runtime.samples import Block, Frame, Line, Reading, Sample
from mmedge.runtime.windows.cut import NS_PER_S
from mmedge.runtime.windows.pushed_clock import ArrivalClock, PushedClock
from mmedge.specs import Image, Modality, Signal, Sound
from mmedge.specs.image import MAX_PIXELS

__all__ = ["Pusher", "Pushers"]

_FAR_NS = 60 * NS_PER_S
"""A capture time this far from now is one of another clock."""
_AHEAD_NS = NS_PER_S
"""Nothing is captured later than now; one such sample would shut out all that follow in time."""


class Pusher:
    """Makes samples of one modality out of what an app hands over.

    Args:
        name: the modality.
        modality: its specification.
    """

    def __init__(self, name: str, modality: Modality) -> None:
        self._name = name
        self._modality = modality
        self._run = 0
        self._like: tuple[int, int, bool] | None = None
        self._clock: PushedClock | ArrivalClock

    @property
    def runs(self) -> int:
        """How many runs of sound there have been."""
        return self._run

    def follow(self, other: Pusher) -> None:
        """Count on where another ended."""
        self._run = other.runs

    def __call__(self, value: Any, time_ns: int | None, now_ns: int) -> Sample:
        """Make a sample.

        Args:
            value: RGB uint8 ``[h, w, 3]`` or a `Picture`; int16 or float32 PCM ``[n]`` or
                ``[n, channels]`` at the model's rate, or a `Pcm` (``[channels, n]``) of any;
                a text; numbers of a signal. Arrays are not to be written to any more.
            time_ns: when it was captured, by ``time.monotonic_ns()``; for sound its first
                sample. ``None`` where nobody knows: then it ends now. A line is fitted to the
                stamps of sound, which may stray to either side; to what has none, the
                earliest arrivals.
            now_ns: the time now.

        Raises:
            ConfigError: the modality does not take such a thing, or not with such a time.
        """
        modality = self._modality
        time_ns = self._time_ns(time_ns, now_ns)
        if isinstance(modality, Sound):
            return self._sound(value, time_ns, now_ns, modality)
        time_ns = now_ns if time_ns is None else time_ns
        if isinstance(modality, Image):
            return self._picture(value, time_ns)
        if isinstance(modality, Signal):
            try:
                return Reading(time_ns, np.atleast_1d(np.asarray(value, np.float64)))
            except (TypeError, ValueError) as exc:
                raise self._refuse(value, f"{modality.channels} numbers") from exc
        if not isinstance(value, str):
            raise self._refuse(value, "a text")
        return Line(time_ns, value)

    def _time_ns(self, time_ns: Any, now_ns: int) -> int | None:
        if time_ns is None:
            return None
        whole = isinstance(time_ns, (int, np.integer))
        if not whole or not -_FAR_NS <= int(time_ns) - now_ns <= _AHEAD_NS:
            raise ConfigError(
                f"modality '{self._name}': the capture time {time_ns!r} lies more than 60 s "
                f"before now ({now_ns}) or 1 s after it; give integer nanoseconds of "
                "time.monotonic_ns(), or None"
            )
        return int(time_ns)

    def _picture(self, value: Any, time_ns: int) -> Frame:
        picture = value if isinstance(value, Picture) else Picture(value)
        pixels: Any = picture.pixels
        fits = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.ndim == 3
        if not fits or pixels.shape[2] != 3 or not 0 < pixels.size <= 3 * MAX_PIXELS:
            raise self._refuse(pixels, f"a picture, uint8 [h, w, 3] of {MAX_PIXELS} pixels at most")
        return Frame(time_ns, np.ascontiguousarray(pixels), picture.order)

    def _sound(self, value: Any, time_ns: int | None, now_ns: int, spec: Sound) -> Block:
        rate_hz = spec.rate_hz
        if isinstance(value, Pcm):
            value, rate_hz = np.atleast_2d(value.samples).T, value.rate_hz
        if not isinstance(value, np.ndarray) or value.ndim not in (1, 2) or not len(value):
            raise self._refuse(value, "sound, int16 or float32 [n] or [n, channels]")
        samples = value[:, None] if value.ndim == 1 else value
        if samples.dtype == np.float32:
            if not np.isfinite(samples).all():
                raise ConfigError(f"modality '{self._name}': the sound holds a NaN or an infinity")
            samples = np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)
        if samples.dtype != np.int16:
            raise self._refuse(value, "sound, int16 or float32 [n] or [n, channels]")
        like = (rate_hz, samples.shape[1], time_ns is None)
        if self._like != like:
            make = ArrivalClock if time_ns is None else PushedClock
            self._like, self._clock = like, make(rate_hz, self._run + 1)
        placed = self._clock.place(len(samples), now_ns if time_ns is None else time_ns)
        self._run = placed.run
        return Block(
            placed.time_ns, samples, rate_hz, placed.run, placed.index, drift_ppm=placed.drift_ppm
        )

    def _refuse(self, value: Any, wanted: str) -> ConfigError:
        came = type(value).__name__
        if isinstance(value, np.ndarray):
            came = f"{value.dtype}{list(value.shape)}"
        return ConfigError(f"modality '{self._name}' takes {wanted}, but got {came}")


class Pushers:
    """One for every modality of a bundle that no source feeds.

    Args:
        bundle: whose modalities.
        fed: the names of those that have a source of their own.
    """

    def __init__(self, bundle: Bundle, fed: Collection[str]) -> None:
        self._fed = fed
        self._pushed: set[str] = set()
        self._each = _each(bundle)

    @property
    def unfed(self) -> set[str]:
        """The modalities that nothing has been pushed to, and that have no source."""
        return self._each.keys() - set(self._fed) - self._pushed

    def push(self, modality: str, value: Any, time_ns: int | None, now_ns: int) -> Sample:
        """Make a sample of a modality; see `Pusher`.

        Raises:
            ConfigError: no such modality, or it does not take such a thing.
        """
        free = [name for name in self._each if name not in self._fed]
        if modality not in free:
            names = ", ".join(free) or "nothing"
            raise ConfigError(f"{modality!r} cannot be pushed; what can be is: {names}")
        sample = self._each[modality](value, time_ns, now_ns)
        self._pushed.add(modality)
        return sample

    def swap(self, bundle: Bundle) -> None:
        """Go on for another bundle; runs of sound are counted on."""
        each = _each(bundle)
        for name, pusher in each.items():
            if name in self._each:
                pusher.follow(self._each[name])
        self._each = each


def _each(bundle: Bundle) -> dict[str, Pusher]:
    return {name: Pusher(name, each) for name, each in bundle.manifest.modalities.items()}
