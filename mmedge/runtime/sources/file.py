"""A media file, played as if it happened now."""

from __future__ import annotations

import heapq
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmedge.errors import ConfigError, SourceError
from mmedge.runtime.clips.sound import SoundBlock, SoundFile, open_sound
from mmedge.runtime.clips.video import VideoFile, VideoFrame, open_video
from mmedge.runtime.samples import Block, Frame, SampleKind
from mmedge.runtime.sources.pcm import as_int16
from mmedge.runtime.sources.source import Ended
from mmedge.runtime.sources.view import View

__all__ = ["FileConfig", "FileSource"]

_log = logging.getLogger(__name__)

_POLL_NS = 100_000_000
# Behind by more than this, the film stops and goes on, as in any player.
_BEHIND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FileConfig:
    """One file to be played.

    Attributes:
        path: a video, or a sound.
        picture: whether its pictures are wanted.
        sound: whether its sound is wanted.
        loop: whether it begins again at its end.
        view: how its pictures are turned, mirrored and cropped.
    """

    path: str | os.PathLike[str]
    picture: bool = True
    sound: bool = True
    loop: bool = False
    view: View = field(default_factory=View)

    def __post_init__(self) -> None:
        if not (self.picture or self.sound):
            raise ConfigError(f"'{self.path}': neither picture nor sound is wanted")


@dataclass(frozen=True, slots=True)
class _Item:
    """A picture or a block of sound, and when it is whole: its end, for sound."""

    due_ns: int
    what: VideoFrame | SoundBlock


class FileSource:
    """Plays a file in real time: a sample comes when its time has come, stamped with it.

    Pictures are RGB, sound is int16 at the file's own rate. Where this machine cannot keep
    up, or sleeps, the rest is played later, and a new run of sound begins.
    """

    def __init__(self, config: FileConfig) -> None:
        wishes: dict[SampleKind, bool] = {"image": config.picture, "sound": config.sound}
        self.kinds = tuple(kind for kind, wish in wishes.items() if wish)
        self.name = f"file {Path(config.path).name}"
        self.patience_ms = 5_000
        self._config = config
        self._files: list[VideoFile | SoundFile] = []
        self._items: Iterator[_Item] = iter(())
        self._item: _Item | None = None
        self._start_ns: int | None = None
        self._run, self._file_run, self._count = -1, -1, 0
        self._length_ns = 0

    def open(self) -> str:
        """Open it, to be played from its beginning; see `Source`."""
        self.close()
        self._start_ns = None
        return self._rewind()

    def _rewind(self) -> str:
        said = []
        tracks: list[Iterator[_Item]] = []
        self._files = []
        try:
            if self._config.picture:
                video = open_video(self._config.path)
                self._files.append(video)
                tracks.append(_Item(each.time_ns, each) for each in video.frames())
                said.append("pictures")
            if self._config.sound:
                # Opened twice, because the tracks of a file may lie seconds apart.
                sound = open_sound(self._config.path)
                self._files.append(sound)
                tracks.append(_Item(each.end_ns, each) for each in sound.blocks())
                said.append(f"sound at {sound.rate_hz} Hz x {sound.channels}")
        except Exception:
            self.close()
            raise
        self._items = heapq.merge(*tracks, key=lambda item: item.due_ns)
        self._file_run, self._length_ns = -1, 0
        return " and ".join(said)

    def read(self) -> Frame | Block | None:
        """Wait for the next picture or block of sound; see `Source`."""
        if not self._files:
            raise SourceError(f"{self.name} is not open; call open() first")
        if self._item is None:
            self._item = next(self._items, None)
        if self._item is None:
            self._end()
            return None
        now_ns = time.monotonic_ns()
        if self._start_ns is None:
            self._start_ns = now_ns - self._item.due_ns
        wait_ns = self._start_ns + self._item.due_ns - now_ns
        if wait_ns > _POLL_NS:
            time.sleep(_POLL_NS / 1e9)
            return None
        if wait_ns > 0:
            time.sleep(wait_ns / 1e9)
        elif wait_ns < -_BEHIND_NS:
            _log.warning("%s is %.1f s behind, and plays on from here", self.name, -wait_ns / 1e9)
            self._start_ns -= wait_ns
            self._file_run = -1
        item, self._item = self._item, None
        return self._sample(item.what, self._start_ns)

    def _sample(self, what: VideoFrame | SoundBlock, start_ns: int) -> Frame | Block:
        time_ns = start_ns + what.time_ns
        if isinstance(what, VideoFrame):
            self._length_ns = max(self._length_ns, what.time_ns + what.duration_ns)
            return Frame(time_ns, self._config.view.apply(what.rgb))
        self._length_ns = max(self._length_ns, what.end_ns)
        if what.run != self._file_run:
            self._run, self._file_run, self._count = self._run + 1, what.run, 0
        samples, index = as_int16(what.pcm.samples), self._count
        self._count += len(samples)
        return Block(time_ns, samples, what.pcm.rate_hz, self._run, index)

    def _end(self) -> None:
        """Begin again, if that is wanted.

        Raises:
            Ended: it is not.
        """
        if not self._config.loop or self._start_ns is None or not self._length_ns:
            raise Ended(f"{self.name} has been played")
        self._start_ns += self._length_ns
        self.close()
        self._rewind()

    def close(self) -> None:
        """Close the file; see `Source`."""
        files, self._files = self._files, []
        self._items, self._item = iter(()), None
        for file in files:
            file.close()
