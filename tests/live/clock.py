"""A clock burned into pictures: the monotonic time in microseconds, bit by bit.

Also run by the system's Python, which has GStreamer and nothing of ours.
"""

from __future__ import annotations

import numpy as np

BITS = 48
SIDE = 8  # pixels of a square; the picture must be 384 wide
DARK, BRIGHT = 16, 235


def burn(luma: np.ndarray, time_us: int) -> None:  # type: ignore[type-arg]
    """Write the time into the upper edge of uint8 ``[h, w]``, as squares."""
    for bit in range(BITS):
        level = BRIGHT if time_us >> bit & 1 else DARK
        luma[:SIDE, bit * SIDE : (bit + 1) * SIDE] = level


def seen_ns(pixels: np.ndarray) -> int:  # type: ignore[type-arg]
    """Read the time, in nanoseconds, from uint8 ``[h, w, 3]``."""
    inner = slice(2, SIDE - 2)
    grey = pixels[inner, : BITS * SIDE].mean(axis=(0, 2)).reshape(BITS, SIDE)[:, inner]
    bits = grey.mean(axis=1) > (DARK + BRIGHT) / 2
    return sum(1 << bit for bit in range(BITS) if bits[bit]) * 1_000


def scene(height: int, width: int) -> np.ndarray:  # type: ignore[type-arg]
    """A slanted ramp, uint8 ``[h, w]``."""
    return (np.add.outer(np.arange(height), np.arange(width)) % 200 + 20).astype(np.uint8)
