"""Media files with known content, made by the tests that read them."""

from __future__ import annotations

import wave
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt


def grey(level: int, height: int = 48, width: int = 64) -> npt.NDArray[np.uint8]:
    """A picture of one grey, RGB."""
    return np.full((height, width, 3), level, np.uint8)


def ramp(length: int) -> npt.NDArray[np.int16]:
    """A mono sound in which each sample tells its index (up to 65,536), int16."""
    return (np.arange(length) % 65_536 - 32_768).astype(np.int16)


def write_wav(path: Path, samples: npt.NDArray[np.int16], rate_hz: int) -> Path:
    """Write int16 ``[N]`` or ``[C, N]``."""
    channels = 1 if samples.ndim == 1 else len(samples)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.ascontiguousarray(samples.T).tobytes())
    return path


def write_media(
    path: Path,
    pictures: Iterable[tuple[int, npt.NDArray[np.uint8]]] = (),
    samples: npt.NDArray[np.int16] | None = None,
    *,
    rate_hz: int = 16_000,
    codecs: tuple[str, str] = ("ffv1", "flac"),
    pix_fmt: str = "bgr0",
    fps: int = 25,
    sound_holes: Iterable[tuple[int, int]] = (),
    sound_start: int = 0,
    rotation: int = 0,
) -> Path:
    """Write pictures with their times in milliseconds, and mono sound.

    ``sound_holes`` are (first, last) samples that are left out; ``sound_start`` is the time
    stamp of the first sample, in samples.
    """
    pictures = list(pictures)
    with av.open(str(path), "w") as file:
        video = file.add_stream(codecs[0], rate=fps) if pictures else None
        sound = file.add_stream(codecs[1], rate=rate_hz) if samples is not None else None
        if video is not None:
            video.height, video.width = pictures[0][1].shape[:2]
            video.pix_fmt = pix_fmt
            video.codec_context.time_base = Fraction(1, 1000)
            if rotation:
                video.set_display_rotation(rotation)
        if sound is not None:
            sound.layout = "mono"
        for time_ms, rgb in pictures:
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            file.mux(video.encode(frame))
        if video is not None:
            file.mux(video.encode())
        if sound is not None:
            _mux_sound(
                file, sound, samples, rate_hz=rate_hz, holes=list(sound_holes), start=sound_start
            )
    return path


def _mux_sound(
    file: Any,
    stream: Any,
    samples: Any,
    *,
    rate_hz: int,
    holes: list[tuple[int, int]],
    start: int,
) -> None:
    # Matroska sorts by time within a cluster only, which these short files do not exceed.
    for at in range(0, len(samples), 1000):
        if any(first <= at < last for first, last in holes):
            continue
        block = np.ascontiguousarray(samples[np.newaxis, at : at + 1000])
        frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, at + start, Fraction(1, rate_hz)
        file.mux(stream.encode(frame))
    file.mux(stream.encode())


def steady(levels: Iterable[int], step_ms: int = 40) -> list[tuple[int, npt.NDArray[np.uint8]]]:
    """Grey pictures at 0, ``step_ms``, 2 ``step_ms``..."""
    return [(index * step_ms, grey(level)) for index, level in enumerate(levels)]
