"""Sound files, and the sound of videos, at their own rate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmedge._closing import Closing
from mmedge.errors import ResourceError, SourceError
from mmedge.runtime.clips.container import Container
from mmedge.runtime.preprocess.sound import Pcm

__all__ = [
    "MAX_SOUND_S",
    "SoundBlock",
    "SoundFile",
    "decoded_samples",
    "open_sound",
    "read_sound",
]

Samples = npt.NDArray[np.float32]

_NS_PER_S = 1_000_000_000
MAX_SOUND_S = 3600
"""Longer sounds are refused where the whole sound is held in memory."""

_MAX_BYTES = 2 * 2**30
# Containers round time stamps to a millisecond or so; more than this is a real hole.
_HOLE_NS = 100_000_000
# Integers become floats by their own full scale, so that int16 is x / 32768.
_SCALES = {"u8": 2.0**-7, "s16": 2.0**-15, "s32": 2.0**-31, "flt": 1.0, "dbl": 1.0}


@dataclass(frozen=True, eq=False)
class SoundBlock:
    """Consecutive samples of a file and the time of the first.

    Attributes:
        time_ns: since the file's beginning, on the clock that its video shares.
        run: blocks of one run join without a gap; a hole in the recording begins the next.
        pcm: float32 ``[C, N]`` at the file's own rate.
    """

    time_ns: int
    run: int
    pcm: Pcm

    @property
    def end_ns(self) -> int:
        """Time behind the last sample."""
        return self.time_ns + self.pcm.duration_ns


def decoded_samples(frame: Any, where: str) -> Samples:
    """Give what a decoder decoded, as numbers.

    Args:
        frame: PyAV's.
        where: the file or stream, for messages.

    Returns:
        float32 ``[C, N]``; integers are scaled by their full scale.

    Raises:
        SourceError: a kind of number that is not read.
    """
    kind = frame.format.name.removesuffix("p")
    if kind not in _SCALES:
        raise SourceError(
            f"the sound of '{where}' decodes to '{kind}', which mmedge does not read; "
            f"convert it first: ffmpeg -i '{where}' copy.flac"
        )
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    offset = 128.0 if kind == "u8" else 0.0
    # In double, so that 32-bit integers are rounded once.
    floats = (samples.astype(np.float64) - offset) * _SCALES[kind]
    return np.ascontiguousarray(floats, dtype=np.float32)


class SoundFile(Closing):
    """An open sound file. Close it, or use it in a ``with``.

    Args:
        container: open, with a sound; owned from here on.

    Attributes:
        path: the file.
        rate_hz: samples per second.
        channels: channels of the first sound track.
    """

    def __init__(self, container: Container) -> None:
        self._container = container
        self.path = container.path
        self.rate_hz = int(container.sound.codec_context.sample_rate)
        self.channels = int(container.sound.codec_context.layout.nb_channels)

    def blocks(self) -> Iterator[SoundBlock]:
        """Decode the sound, once.

        Within a run, time is counted in samples, because the time stamps of most
        containers are rounded.

        Raises:
            SourceError: damaged, or rate or channels change on the way.
            ResourceError: a hole of more than an hour.
        """
        begin_ns = end_ns = run = count = 0
        for frame in self._container.decode(self._container.sound):
            samples = self._floats(frame)
            stamp_ns = end_ns
            if frame.pts is not None:
                stamp_ns = self._container.time_ns(frame.pts, frame.time_base)
            if count == 0 or stamp_ns - end_ns > _HOLE_NS:
                self._check_hole(stamp_ns - end_ns)
                run += count > 0
                begin_ns, count = stamp_ns, 0
            time_ns = begin_ns + count * _NS_PER_S // self.rate_hz
            yield SoundBlock(time_ns, run, Pcm(samples, self.rate_hz))
            count += samples.shape[1]
            end_ns = begin_ns + count * _NS_PER_S // self.rate_hz
        self._container.note_end("sound", end_ns)

    def _floats(self, frame: Any) -> Samples:
        path, channels = self._container.path, frame.layout.nb_channels
        if (frame.sample_rate, channels) != (self.rate_hz, self.channels):
            raise SourceError(
                f"the sound of '{path}' changes from {self.rate_hz} Hz x {self.channels} to "
                f"{frame.sample_rate} Hz x {channels}; convert it first: "
                f"ffmpeg -i '{path}' -ar {self.rate_hz} -ac {self.channels} copy.flac"
            )
        return decoded_samples(frame, str(path))

    def _check_hole(self, length_ns: int) -> None:
        if length_ns > MAX_SOUND_S * _NS_PER_S:
            raise ResourceError(
                f"the sound of '{self.path}' has a hole of {length_ns // _NS_PER_S} s; cut the "
                "file in two there"
            )

    def close(self) -> None:
        """Close the file; doing so again does nothing."""
        self._container.close()


def open_sound(path: str | os.PathLike[str]) -> SoundFile:
    """Open a sound file, or a video for its sound, to be read block by block.

    Args:
        path: any common container: WAV, FLAC, MP3, Ogg, Matroska, MP4...; of several
            sound tracks the first is heard.

    Raises:
        SourceError: missing, empty, damaged, not a media file, or without sound.
        MissingDependencyError: PyAV is not installed.
    """
    container = Container(path)
    if container.sound is None:
        container.close()
        raise SourceError(
            f"'{container.path}' has no sound; give a file with a sound track, or leave the "
            "modality out"
        )
    codec = container.sound.codec_context
    if codec is None or not codec.sample_rate or not codec.layout.nb_channels:
        container.close()
        raise SourceError(
            f"the sound of '{container.path}' is damaged, or in a codec that FFmpeg does not "
            f"know; convert it first: ffmpeg -i '{container.path}' copy.flac"
        )
    return SoundFile(container)


def read_sound(path: str | os.PathLike[str]) -> Pcm:
    """Read a whole sound, at most an hour and 2 GiB, at its own rate and channels.

    Args:
        path: as `open_sound`.

    Returns:
        float32 ``[C, N]``; integers are scaled to [-1, 1) by their full scale (int16 by
        32768), while lossy formats may overshoot it.

    Raises:
        SourceError: as `open_sound`, or damaged, or without any sample.
        ResourceError: too long.
        MissingDependencyError: PyAV is not installed.
    """
    with open_sound(path) as sound:
        longest = min(MAX_SOUND_S * sound.rate_hz, _MAX_BYTES // (4 * sound.channels))
        parts: list[Samples] = []
        length = 0
        for samples in _without_holes(sound):
            length += samples.shape[1]
            if length > longest:
                raise ResourceError(
                    f"the sound of '{path}' is longer than {longest / sound.rate_hz:.0f} s, the "
                    "most that is read at once; cut it: ffmpeg -i in.wav -f segment "
                    "-segment_time 600 part%03d.wav"
                )
            parts.append(samples)
        if length == 0:
            raise SourceError(f"'{path}' has a sound track without a sample; record it again")
        return Pcm(np.concatenate(parts, axis=1), sound.rate_hz)


def _without_holes(sound: SoundFile) -> Iterator[Samples]:
    """Give the samples, with silence where the recording has holes, so that time is kept."""
    run = end_ns = 0
    for block in sound.blocks():
        if block.run > run:
            length = (block.time_ns - end_ns) * sound.rate_hz // _NS_PER_S
            yield np.zeros((sound.channels, length), np.float32)
        yield block.pcm.samples
        run, end_ns = block.run, block.end_ns
