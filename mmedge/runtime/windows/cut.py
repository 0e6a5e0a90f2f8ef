"""Which samples and which pictures belong to the window that ends at a given time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from mmedge.errors import ConfigError
from mmedge.runtime.preprocess import Pcm
from mmedge.specs import Sound

__all__ = [
    "MAX_GAP",
    "NS_PER_MS",
    "NS_PER_S",
    "cut_sound",
    "latest_frame",
    "pick_frames",
    "place_sound",
    "window_ends_ns",
]

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
MAX_GAP = 5
"""Periods of its rate that a straight line may bridge between two readings of a signal."""


def window_ends_ns(duration_ns: int, length_ns: int, hop_ns: int) -> Iterator[int]:
    """Give the ends of the windows of a recording, on the grid ``length + n * hop``.

    As in live operation, what follows the last whole hop is not seen. A recording
    shorter than one window gives one, whose end lies behind its own.

    Args:
        duration_ns: of the recording, at least 0.
        length_ns: of a window, above 0.
        hop_ns: from one window to the next, above 0.

    Raises:
        ConfigError: a length below these.
    """
    if duration_ns < 0 or length_ns <= 0 or hop_ns <= 0:
        raise ConfigError(
            f"duration_ns={duration_ns}, length_ns={length_ns}, hop_ns={hop_ns}: the first must "
            "not be negative, and the others must be positive"
        )
    return iter(range(length_ns, max(duration_ns, length_ns) + 1, hop_ns))


def cut_sound(pcm: Pcm, end_ns: int, spec: Sound, start_ns: int = 0) -> npt.NDArray[np.float32]:
    """Cut the window that ends at ``end_ns``; where the sound is not, there is silence.

    Args:
        pcm: the sound at the encoder's rate and channels (`preprocess.sound.conform`).
        end_ns: end of the window.
        spec: the modality.
        start_ns: when the first sample of ``pcm`` was captured.

    Returns:
        float32 ``[samples]`` for one channel, else ``[C, samples]``; a copy.

    Raises:
        ConfigError: ``pcm`` has another rate or number of channels.
    """
    if (pcm.rate_hz, pcm.channels) != (spec.rate_hz, spec.channels):
        raise ConfigError(
            f"a window of {spec.rate_hz} Hz x {spec.channels} cannot be cut from a sound of "
            f"{pcm.rate_hz} Hz x {pcm.channels}; convert the whole sound first (conform)"
        )
    samples = np.atleast_2d(pcm.samples)
    begin = end_ns * spec.rate_hz // NS_PER_S - spec.samples
    window = np.zeros((spec.channels, spec.samples), np.float32)
    place_sound(window, samples, start_ns * spec.rate_hz // NS_PER_S - begin)
    return window[0] if spec.channels == 1 else window


def place_sound(
    window: npt.NDArray[np.float32], samples: npt.NDArray[np.float32], offset: int
) -> int:
    """Copy into a window what of a piece of sound falls into it.

    Args:
        window: float32 ``[C, n]``, written to.
        samples: float32 ``[C, m]``.
        offset: where in ``window`` the first sample belongs; may lie outside.

    Returns:
        How many samples per channel were copied.
    """
    low: int = max(offset, 0)
    high: int = min(offset + samples.shape[1], window.shape[1])
    if low >= high:
        return 0
    window[:, low:high] = samples[:, low - offset : high - offset]
    return high - low


def latest_frame(times_ns: Sequence[int], end_ns: int, max_age_ns: int) -> int | None:
    """Find the newest picture captured before ``end_ns``.

    Args:
        times_ns: capture times; they never descend.
        end_ns: end of the window.
        max_age_ns: a picture older than this at ``end_ns`` is stale.

    Returns:
        Its index, or ``None`` if there is none or it is stale.
    """
    index = bisect_left(times_ns, end_ns) - 1
    if index < 0 or end_ns - times_ns[index] > max_age_ns:
        return None
    return index


def pick_frames(
    times_ns: Sequence[int], end_ns: int, frames: int, stride_ns: int, max_age_ns: int
) -> tuple[int, ...] | None:
    """Choose the pictures of the clip that ends at ``end_ns``.

    They are the newest before ``end_ns``, before ``end_ns - stride_ns`` and so on; a
    video slower than the stride gives the same picture more than once.

    Args:
        times_ns: capture times; they never descend.
        end_ns: end of the clip.
        frames: how many pictures.
        stride_ns: time from one to the next.
        max_age_ns: a picture older than this at its own place is stale.

    Returns:
        ``frames`` indices, oldest first, or ``None`` if one is missing or stale.
    """
    picked = []
    for back in range(frames - 1, -1, -1):
        index = latest_frame(times_ns, end_ns - back * stride_ns, max_age_ns)
        if index is None:
            return None
        picked.append(index)
    return tuple(picked)
