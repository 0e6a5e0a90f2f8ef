"""Media containers through PyAV: regular files of known formats, and their clock."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

from mmedge._closing import Closing
from mmedge._optional import require
from mmedge.errors import SourceError

__all__ = ["Container", "check_file", "decoding", "lenient"]

_log = logging.getLogger(__name__)

# FFmpeg also opens playlists and scripts, which name other files and hosts, and shows any
# *.txt as a film of its letters. Only real media containers may be probed.
_FORMATS = (
    "aac,ac3,aiff,amr,apng,asf,au,avi,caf,eac3,flac,flv,gif,ivf,matroska,webm,"
    "mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,ogg,w64,wav"
)

_RIFF_UNKNOWN = 0x7FFF0000


def check_file(path: str | os.PathLike[str]) -> Path:
    """Give ``path`` if it is a readable, regular file (or a link to one) that is not empty.

    Raises:
        SourceError: it is not.
    """
    path = Path(path)
    try:
        size_bytes = path.stat().st_size
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise SourceError(f"cannot read '{path}': {reason}; check the path") from exc
    if not path.is_file():
        what = "a folder" if path.is_dir() else "not a regular file"
        raise SourceError(f"'{path}' is {what}; give an image, sound or video file")
    if size_bytes == 0:
        raise SourceError(f"'{path}' is empty (0 bytes); record or copy it again")
    return path


class Container(Closing):
    """An open media file. Close it, or use it in a ``with``.

    Attributes:
        path: the file.
        video: its video stream, cover pictures aside, or ``None``.
        sound: its first sound stream, or ``None``.

    Raises:
        SourceError: missing, empty, or not a media file.
        MissingDependencyError: PyAV is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = check_file(path)
        av = require("av", extra="live", why="reading a sound or video file")
        try:
            # From an absolute path FFmpeg cannot read a protocol ("concat:", "http:").
            self._av = av.open(
                str(self.path.absolute()),
                options={"format_whitelist": _FORMATS},
                **lenient(av),
            )
        except (av.FFmpegError, OSError, ValueError) as exc:
            raise SourceError(
                f"'{self.path}' cannot be opened as a sound or video file ({_reason(exc)}). It "
                "may be cut off, of another kind, or in a format that mmedge does not read; "
                f"try: ffmpeg -i '{self.path}' copy.mkv"
            ) from exc
        cover = av.stream.Disposition.attached_pic
        videos = (stream for stream in self._av.streams.video if not stream.disposition & cover)
        self.video: Any = next(videos, None)
        self.sound: Any = next(iter(self._av.streams.audio), None)
        # MPEG-TS does not begin at zero; all streams of a file share this origin.
        self._origin_ns = (self._av.start_time or 0) * 1000

    @property
    def duration_ns(self) -> int | None:
        """What the header says, which may be an estimate; ``None`` if it says nothing."""
        return None if self._av.duration is None else self._av.duration * 1000

    def time_ns(self, ticks: int, base: Fraction) -> int:
        """Turn a stream's time stamp into nanoseconds since the file's beginning."""
        return ticks * base.numerator * 1_000_000_000 // base.denominator - self._origin_ns

    def decode(self, stream: Any) -> Iterator[Any]:
        """Decode one stream; one pass per open file.

        Raises:
            SourceError: the data is damaged.
        """
        stream.thread_type = "AUTO"
        with decoding(self.path):
            yield from self._av.decode(stream)

    def note_end(self, what: str, end_ns: int) -> None:
        """Warn if a stream ended well before the header says: nothing else tells of a cut."""
        if self.duration_ns is not None and end_ns < self.duration_ns - 500_000_000:
            _log.warning(
                "the %s of '%s' ends at %.2f s, but its header says %.2f s: it may be cut off",
                what,
                self.path,
                end_ns / 1e9,
                self.duration_ns / 1e9,
            )
        elif missing := _missing_bytes(self.path):  # FFmpeg shortens a WAV's duration silently
            _log.warning(
                "'%s' lacks %d of the bytes that its header promises: it may be cut off",
                self.path,
                missing,
            )

    def close(self) -> None:
        """Close the file; doing so again does nothing."""
        self._av.close()


def lenient(av: Any) -> dict[str, str]:
    """Options for titles that are no UTF-8; PyAV 19 replaces what it cannot read by itself."""
    return {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


def _missing_bytes(path: Path) -> int:
    """Tell how much shorter a RIFF file (WAV, AVI) is than its header says."""
    with path.open("rb") as file:
        head = file.read(8)
    if head[:4] != b"RIFF":
        return 0
    promised = int.from_bytes(head[4:], "little")
    # What writes into a pipe cannot know the length, and puts the largest there, or 0.
    missing = promised + 8 - path.stat().st_size if 0 < promised < _RIFF_UNKNOWN else 0
    return missing if missing > 1 else 0  # the last pad byte is often left out


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Turn FFmpeg's errors within into a `SourceError` that names the file."""
    av = require("av", extra="live", why="reading a sound or video file")
    try:
        yield
    except av.FFmpegError as exc:
        raise SourceError(
            f"'{path}' is damaged or cut off ({_reason(exc)}); record or copy it again"
        ) from exc


def _reason(exc: BaseException) -> str:
    return getattr(exc, "strerror", None) or str(exc)
