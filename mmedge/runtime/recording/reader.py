"""Reads recordings: the samples as they came, and the log."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmedge._optional import require
from mmedge.errors import ArtefactError, ConfigError, SourceError
from mmedge.runtime.recording.layout import (
    BLOCK_COLUMNS,
    LOG,
    TIMES,
    Header,
    Part,
    parse_header,
)
from mmedge.runtime.samples import Block, Frame, Line, Reading, Sample
from mmedge.runtime.windows.cut import NS_PER_S

__all__ = ["Recording", "open_recording"]


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording on disk; nothing is held open between calls.

    Attributes:
        path: the folder.
        header: what it says about itself.
    """

    path: Path
    header: Header

    def samples(self, modality: str, *, block_ms: int | None = None) -> Iterator[Sample]:
        """Give what was recorded of a modality, in order; nothing if it was absent.

        Args:
            modality: its name.
            block_ms: length of the blocks of sound; ``None`` for those that came. Their
                times are those recorded, however they are cut.

        Raises:
            SourceError: a file is missing or damaged before its end.
        """
        track = self.header.tracks.get(modality)
        if track is None:
            return
        if track.kind == "image":
            for part in track.parts:
                yield from self._pictures(part)
        elif track.kind == "sound":
            blocks = (block for part in track.parts for block in self._blocks(part))
            yield from blocks if block_ms is None else _recut(blocks, block_ms)
        elif track.lines is not None:
            yield from self._lines(track.lines)

    def log(self) -> Iterator[dict[str, Any]]:
        """Give the lines of the log; one that was cut off at the end is left out."""
        yield from _json_lines(self.path / LOG)

    def _pictures(self, part: Part) -> Iterator[Frame]:
        times_ns = self._times(part, 1)[:, 0].tolist()
        with closing(_decode(self.path / part.media)) as frames:
            for time_ns, frame in zip(times_ns, frames, strict=False):
                yield Frame(time_ns, frame.to_ndarray(format=f"{part.order}24"), part.order)

    def _blocks(self, part: Part) -> Iterator[Block]:
        rows = self._times(part, BLOCK_COLUMNS).tolist()
        with closing(_decode(self.path / part.media)) as frames:
            pieces = (frame.to_ndarray().reshape(-1, part.channels) for frame in frames)
            waiting = np.zeros((0, part.channels), np.int16)
            for run, index, count, time_ns in rows:
                while len(waiting) < count:
                    piece = next(pieces, None)
                    if piece is None:
                        return  # cut off: the rest was never written
                    waiting = np.concatenate([waiting, piece])
                yield Block(time_ns, waiting[:count], part.rate_hz, run, index)
                waiting = waiting[count:]

    def _times(self, part: Part, columns: int) -> npt.NDArray[np.int64]:
        file = self.path / part.times
        try:
            data = file.read_bytes()
        except OSError as exc:
            raise SourceError(f"{file} cannot be read: {exc.strerror}") from exc
        whole = len(data) // (8 * columns) * 8 * columns
        return np.frombuffer(data[:whole], TIMES).reshape(-1, columns).astype(np.int64)

    def _lines(self, name: str) -> Iterator[Line | Reading]:
        try:
            for row in _json_lines(self.path / name):
                if "text" in row:
                    yield Line(int(row["time_ns"]), str(row["text"]))
                else:
                    yield Reading(int(row["time_ns"]), np.array(row["values"], np.float64))
        except (KeyError, TypeError) as exc:
            raise ArtefactError(f"{self.path / name}: a line is no sample: {exc!r}") from exc


def open_recording(path: Path | str) -> Recording:
    """Open a recording's folder.

    Raises:
        ConfigError: there is nothing.
        ArtefactError: it is no recording, or its header is not to be trusted.
        IncompatibleError: a newer mmedge wrote it.
    """
    folder = Path(path)
    if not folder.exists():
        raise ConfigError(
            f"there is no recording at {folder}. Make one with: mmedge serve --record {folder}"
        )
    return Recording(folder, parse_header(folder))


def _decode(path: Path) -> Generator[Any, None, None]:
    """Decode the only stream of a media file, up to where it was cut off."""
    av = require("av", extra="live", why="reading a recording")
    try:
        container = av.open(str(path))
    except (OSError, av.FFmpegError) as exc:
        raise SourceError(f"{path} cannot be read: {exc}") from exc
    with container:
        try:
            yield from container.decode(container.streams[0])
        except av.EOFError:
            return
        except av.FFmpegError as exc:
            raise SourceError(f"{path} is damaged: {exc}") from exc


def _recut(blocks: Iterable[Block], block_ms: int) -> Iterator[Block]:
    """Cut unbroken blocks anew; the readings of the clock go with the samples they are of."""
    waiting: list[Block] = []
    for block in blocks:
        if waiting and (waiting[-1].run, _stop(waiting[-1])) != (block.run, block.index):
            yield _join(waiting)
            waiting = []
        waiting.append(block)
        size = max(block.rate_hz * block_ms // 1000, 1)
        whole = _join(waiting)
        while len(whole.samples) >= size:
            first, whole = _split(whole, size)
            yield first
        waiting = [whole] if len(whole.samples) else []
    if waiting:
        yield _join(waiting)


def _stop(block: Block) -> int:
    return block.index + len(block.samples)


def _anchors(block: Block) -> tuple[tuple[int, int], ...]:
    return ((block.index, block.time_ns),) if block.anchors is None else block.anchors


def _join(blocks: list[Block]) -> Block:
    first = blocks[0]
    samples = np.concatenate([block.samples for block in blocks])
    anchors = tuple(anchor for block in blocks for anchor in _anchors(block))
    return Block(first.time_ns, samples, first.rate_hz, first.run, first.index, anchors=anchors)


def _split(block: Block, size: int) -> tuple[Block, Block]:
    stop = block.index + size
    anchors = _anchors(block)
    head = tuple(anchor for anchor in anchors if anchor[0] < stop)
    tail = tuple(anchor for anchor in anchors if anchor[0] >= stop)
    later_ns = block.time_ns + size * NS_PER_S // block.rate_hz
    return (
        Block(
            block.time_ns, block.samples[:size], block.rate_hz, block.run, block.index, anchors=head
        ),
        Block(later_ns, block.samples[size:], block.rate_hz, block.run, stop, anchors=tail),
    )


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                if not line.endswith("\n"):
                    return  # cut off in the middle
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ArtefactError(f"{path}: a line is no object: {line[:80]!r}")
                yield row
    except FileNotFoundError as exc:
        raise SourceError(f"{path} is missing from the recording") from exc
    except ValueError as exc:
        raise ArtefactError(f"{path} is not JSON lines: {exc}") from exc
