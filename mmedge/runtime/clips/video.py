"""Video files, picture by picture, with the time at which each was captured."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mmedge._closing import Closing
from mmedge.errors import ResourceError, SourceError
from mmedge.runtime.clips.container import Container, decoding
from mmedge.specs.image import MAX_PIXELS

__all__ = ["VideoFile", "VideoFrame", "open_video"]


class VideoFrame:
    """One picture of a video; it becomes RGB when it is first asked for.

    Attributes:
        time_ns: capture time since the file's beginning, on the clock of its sound.
        duration_ns: until the next picture, as far as the file says; else 0.
    """

    def __init__(self, container: Container, frame: Any) -> None:
        self.time_ns = container.time_ns(frame.pts, frame.time_base)
        ticks = (frame.duration or 0) * frame.time_base
        self.duration_ns = int(ticks * 1_000_000_000)
        self._path = container.path
        self._frame = frame
        self._rgb: npt.NDArray[np.uint8] | None = None

    @property
    def rgb(self) -> npt.NDArray[np.uint8]:
        """Upright RGB, uint8 ``[h, w, 3]``, contiguous; the same array every time.

        Raises:
            SourceError: the picture cannot be converted.
        """
        if self._rgb is None:
            with decoding(self._path):
                rgb = self._frame.to_ndarray(format="rgb24")
            # Phones film on their side and note by how much to turn, counterclockwise.
            turns = round(self._frame.rotation / 90) % 4
            self._rgb = np.ascontiguousarray(np.rot90(rgb, turns))
            self._frame = None
        return self._rgb

    @property
    def size_bytes(self) -> int:
        """What the picture takes, or will take, as RGB."""
        if self._rgb is not None:
            return self._rgb.nbytes
        return int(self._frame.width * self._frame.height * 3)


class VideoFile(Closing):
    """An open video. Close it, or use it in a ``with``.

    Args:
        container: open, with a video; owned from here on.

    Attributes:
        has_sound: whether the file has a sound track too.
        duration_ns: what the header says, which may be an estimate, or ``None``.
    """

    def __init__(self, container: Container) -> None:
        self._container = container
        self.has_sound = container.sound is not None
        self.duration_ns = container.duration_ns

    def frames(self) -> Iterator[VideoFrame]:
        """Decode the video, once, in the order of capture; one picture is held at a time.

        Raises:
            SourceError: damaged, or a picture has no capture time, or one before its
                predecessor's.
        """
        last_ns, end_ns = -(2**62), 0
        for frame in self._container.decode(self._container.video):
            if frame.pts is None:
                raise SourceError(self._bad_clock("has a picture without a time stamp"))
            picture = VideoFrame(self._container, frame)
            if picture.time_ns < last_ns:
                raise SourceError(self._bad_clock(f"jumps back in time at {last_ns / 1e9:.3f} s"))
            last_ns = picture.time_ns
            end_ns = last_ns + picture.duration_ns
            yield picture
        self._container.note_end("video", end_ns)

    def _bad_clock(self, what: str) -> str:
        path = self._container.path
        return (
            f"'{path}' {what}, so it cannot be aligned with sound; write it again: "
            f"ffmpeg -fflags +genpts -i '{path}' copy.mkv"
        )

    def close(self) -> None:
        """Close the file; doing so again does nothing."""
        self._container.close()


def open_video(path: str | os.PathLike[str]) -> VideoFile:
    """Open a video file to be read picture by picture.

    Args:
        path: any common container: Matroska, MP4, AVI, MPEG-TS...; of several video
            tracks the first is seen.

    Raises:
        SourceError: missing, empty, damaged, not a media file, or without pictures.
        ResourceError: pictures of more than 64 megapixels.
        MissingDependencyError: PyAV is not installed.
    """
    container = Container(path)
    if container.video is None:
        container.close()
        raise SourceError(f"'{container.path}' has no video; give a file with a video track")
    codec = container.video.codec_context
    if codec is None:
        container.close()
        raise SourceError(
            f"the video of '{container.path}' is damaged, or in a codec that FFmpeg does not "
            f"know; convert it first: ffmpeg -i '{container.path}' copy.mkv"
        )
    if codec.width * codec.height > MAX_PIXELS:
        container.close()
        raise ResourceError(
            f"the pictures of '{container.path}' are {codec.width}x{codec.height}, more than "
            f"the {MAX_PIXELS} pixels that mmedge reads; scale them down"
        )
    codec.options = {"max_pixels": str(MAX_PIXELS)}
    return VideoFile(container)
