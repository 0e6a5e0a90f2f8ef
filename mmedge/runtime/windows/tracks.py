"""Files walked window by window, holding no more of them than the next window needs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mmedge.errors import ResourceError, SourceError
from mmedge.runtime.clips import VideoFrame, open_sound, open_video
from mmedge.runtime.preprocess.sound import conform_blocks
from mmedge.runtime.windows.cut import NS_PER_MS, NS_PER_S, pick_frames, place_sound
from mmedge.specs import Image, Sound

__all__ = ["SoundTrack", "VideoTrack"]

_MAX_KEPT_BYTES = 2**30
# Containers round time stamps, mostly to a millisecond; that must not cost the last window.
_ROUNDING_NS = 2_000_000


class SoundTrack:
    """The sound of one file, at the encoder's rate and channels, in windows. Close it.

    Args:
        name: the modality's name, for messages.
        spec: the modality.
        path: a sound file, or a video with sound.

    Raises:
        SourceError: the file cannot be opened or has no sound.
    """

    def __init__(self, name: str, spec: Sound, path: Path) -> None:
        self._name = name
        self._spec = spec
        self._file = open_sound(path)
        self._pieces = self._decode()
        # Indices count samples since the file's beginning.
        self._kept: deque[tuple[int, npt.NDArray[np.float32]]] = deque()
        self._first: int | None = None
        self._stop = 0
        self._found = 0
        self._ended = False

    def _decode(self) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        """Give pieces ``[C, n]`` and the index of each one's first sample."""
        for _, run in groupby(self._file.blocks(), key=lambda block: block.run):
            first = next(run)
            index = first.time_ns * self._spec.rate_hz // NS_PER_S
            pcms = (block.pcm for blocks in ((first,), run) for block in blocks)
            for samples in conform_blocks(pcms, self._spec, self._name):
                yield index, samples
                index += samples.shape[1]

    def advance(self, end_ns: int) -> bool:
        """Decode up to ``end_ns`` and forget what lies before its window.

        Returns:
            Whether the sound reaches ``end_ns``.

        Raises:
            SourceError: the file is damaged.
            ConfigError: channels that the modality does not take, or samples that are not
                finite.
        """
        end = end_ns * self._spec.rate_hz // NS_PER_S
        while self._stop < end and not self._ended:
            piece = next(self._pieces, None)
            if piece is None:
                self._ended = True
                break
            self._kept.append(piece)
            self._first = piece[0] if self._first is None else self._first
            self._stop = piece[0] + piece[1].shape[1]
            self._forget(end)
        self._forget(end)
        return (end - self._stop) * NS_PER_S <= _ROUNDING_NS * self._spec.rate_hz

    def _forget(self, end: int) -> None:
        begin = end - self._spec.samples
        while self._kept and self._kept[0][0] + self._kept[0][1].shape[1] <= begin:
            self._kept.popleft()

    def window(self, end_ns: int) -> npt.NDArray[np.float32] | None:
        """Give the window to which the track was advanced, silence where there is no sound.

        Returns:
            float32 ``[samples]`` or ``[C, samples]``; ``None`` if less than half of it was
            recorded, unless the whole sound is that short.
        """
        spec = self._spec
        end = end_ns * spec.rate_hz // NS_PER_S
        begin = end - spec.samples
        window = np.zeros((spec.channels, spec.samples), np.float32)
        found = self._found = sum(
            place_sound(window, samples, index - begin) for index, samples in self._kept
        )
        whole = self._first is not None and self._first >= begin and self._ended
        if found == 0 or (2 * found < spec.samples and not (whole and self._stop <= end)):
            return None
        return window[0] if spec.channels == 1 else window

    def whole(self) -> bool:
        """Tell whether the window that was given last was recorded from end to end."""
        missing = self._spec.samples - self._found
        return missing * NS_PER_S <= _ROUNDING_NS * self._spec.rate_hz

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class VideoTrack:
    """The pictures of one file, the newest (or newest clip) at each window. Close it.

    Args:
        name: the modality's name, for messages.
        spec: the modality.
        path: a video.
        max_age_ns: a picture older than this is absent.

    Raises:
        SourceError: the file cannot be opened or has no video.
        ResourceError: its pictures are too large.
    """

    def __init__(self, name: str, spec: Image, path: Path, max_age_ns: int) -> None:
        self._name = name
        self._spec = spec
        self._path = path
        self._max_age_ns = max_age_ns
        self._stride_ns = spec.stride_ms * NS_PER_MS
        self._file = open_video(path)
        self._frames = self._file.frames()
        self._kept: deque[VideoFrame] = deque()
        self._ended = False

    def advance(self, end_ns: int) -> bool:
        """Decode up to ``end_ns`` and forget pictures that no later window can need.

        Returns:
            Whether the video reaches ``end_ns``.

        Raises:
            SourceError: the file is damaged or its clock is.
            ResourceError: the pictures of one clip need more than 1 GiB.
        """
        oldest_ns = end_ns - (self._spec.frames - 1) * self._stride_ns
        while not self._ended and (not self._kept or self._kept[-1].time_ns < end_ns):
            frame = next(self._frames, None)
            if frame is None:
                self._ended = True
                break
            self._kept.append(frame)
            self._forget(oldest_ns)
        self._forget(oldest_ns)
        if not self._kept:
            return False
        newest = self._kept[-1]
        return newest.time_ns + newest.duration_ns + _ROUNDING_NS >= end_ns

    def _forget(self, oldest_ns: int) -> None:
        """Keep, of those before ``oldest_ns``, the newest."""
        while len(self._kept) > 1 and self._kept[1].time_ns < oldest_ns:
            self._kept.popleft()
        if self._kept and len(self._kept) * self._kept[-1].size_bytes > _MAX_KEPT_BYTES:
            raise ResourceError(
                f"modality '{self._name}': a clip of {self._spec.frames} pictures every "
                f"{self._spec.stride_ms} ms of '{self._path}' needs more than 1 GiB; scale the "
                "video down or lower its frame rate"
            )

    def window(self, end_ns: int) -> npt.NDArray[np.uint8] | None:
        """Give the picture or clip of the window to which the track was advanced.

        Returns:
            RGB uint8 ``[h, w, 3]`` or ``[frames, h, w, 3]``; ``None`` if one is missing or
            too old.

        Raises:
            SourceError: the pictures of a clip differ in size, or cannot be converted.
        """
        times_ns = [frame.time_ns for frame in self._kept]
        picked = pick_frames(times_ns, end_ns, self._spec.frames, self._stride_ns, self._max_age_ns)
        if picked is None:
            return None
        pictures = [self._kept[index].rgb for index in picked]
        if len(pictures) == 1:
            return pictures[0]
        if len({picture.shape for picture in pictures}) > 1:
            raise SourceError(
                f"the pictures of '{self._path}' change in size at {end_ns / 1e9:.2f} s; convert "
                f"it first: ffmpeg -i '{self._path}' -vf scale=640:480 copy.mkv"
            )
        return np.stack(pictures)

    def whole(self) -> bool:
        """Pictures have no gaps: the newest stands until it is too old."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
