"""A clip's own pictures and sound, as small as they are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mmedge.runtime.clips import VideoFrame, open_sound, open_video

__all__ = ["film_strip", "header_ns", "loudness"]

_NS_PER_S = 1_000_000_000


def header_ns(clip: Path) -> tuple[int, bool]:
    """Give the clip's length as its header has it, or 0, and whether it has sound."""
    with open_video(clip) as video:
        return video.duration_ns or 0, video.has_sound


def film_strip(clip: Path, span_ns: int, cells: int, size: tuple[int, int]) -> list[Image.Image]:
    """Give the frame in the middle of each of ``cells`` equal stretches of ``span_ns``.

    The clip is read once; beside the thumbnails, two frames are held at a time. A clip
    that ends earlier gives fewer.

    Args:
        clip: a video.
        span_ns: the time that the strip covers.
        cells: how many frames.
        size: of each, (width, height); the sides that are too long are cut.
    """
    strip: list[Image.Image] = []
    before: VideoFrame | None = None
    end_ns = 0
    with open_video(clip) as video:
        for frame in video.frames():
            while before is not None and len(strip) < cells:
                if _middle(len(strip), span_ns, cells) >= frame.time_ns:
                    break
                strip.append(_thumbnail(before, size))
            if len(strip) == cells:
                return strip
            before, end_ns = frame, frame.time_ns + frame.duration_ns
    while before is not None and len(strip) < cells:
        # A lone last frame is shown, though nothing may say for how long it stood.
        if strip and _middle(len(strip), span_ns, cells) >= end_ns:
            break
        strip.append(_thumbnail(before, size))
    return strip


def loudness(clip: Path, span_ns: int, columns: int) -> NDArray[np.float32]:
    """Give the largest sample of each of ``columns`` equal stretches, as a share of the loudest.

    Returns:
        float32 ``[columns]`` in 0..1; the sound is read block by block.
    """
    peaks = np.zeros(columns, np.float32)
    with open_sound(clip) as sound:
        for block in sound.blocks():
            loud = np.abs(block.pcm.samples).max(axis=0)
            times_ns = block.time_ns + np.arange(len(loud)) * _NS_PER_S // sound.rate_hz
            # In floating point, because nanoseconds times columns may not fit 64 bits.
            column = (times_ns / span_ns * columns).astype(np.intp)
            inside = (column >= 0) & (column < columns)
            np.maximum.at(peaks, column[inside], loud[inside])
    loudest = float(peaks.max())
    return peaks / np.float32(loudest) if loudest > 0 else peaks


def _middle(cell: int, span_ns: int, cells: int) -> int:
    return (2 * cell + 1) * span_ns // (2 * cells)


def _thumbnail(frame: VideoFrame, size: tuple[int, int]) -> Image.Image:
    return ImageOps.fit(Image.fromarray(frame.rgb), size, Image.Resampling.LANCZOS)
