"""Reads recordings: the samples as they came, and the log."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from mmedge._optional import require
from mmedge.errors import ArtefactError, ConfigError, SourceError
from mmedge.runtime.recording.blocks import recut
from mmedge.runtime.recording.layout import (
    BLOCK_COLUMNS,
    EARLIEST_NS,
    LATEST_NS,
    LOG,
    MAX_BLOCK_S,
    TIMES,
    Header,
    LineRow,
    LogRow,
    Part,
    ReadingRow,
    Row,
    parse_header,
    told,
)
from mmedge.runtime.samples import Block, Frame, Line, Reading, Sample
from mmedge.specs.image import MAX_PIXELS

__all__ = ["Recording", "open_recording"]

_ROWS_AT_ONCE = 4096
_MAX_LINE_CHARS = 16 * 2**20
_CODECS = {"image": ("ffv1", "mjpeg"), "sound": ("flac",)}
_LOG: TypeAdapter[Row] = TypeAdapter(LogRow)
_LINE = TypeAdapter(LineRow)
_READING = TypeAdapter(ReadingRow)


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
            ArtefactError: a file is not what the header says of it.
        """
        track = self.header.tracks.get(modality)
        if track is None:
            return
        if track.kind == "image":
            for part in track.parts:
                yield from self._pictures(part)
        elif track.kind == "sound":
            blocks = (block for part in track.parts for block in self._blocks(part))
            yield from blocks if block_ms is None else recut(blocks, block_ms)
        elif track.lines is not None:
            yield from self._lines(self.path / track.lines, track.kind)

    def log(self) -> Iterator[Row]:
        """Give the lines of the log; one that was cut off at the end is left out.

        Raises:
            SourceError: there is none.
            ArtefactError: a line breaks a rule.
        """
        yield from _rows(self.path / LOG, _LOG)

    def _pictures(self, part: Part) -> Iterator[Frame]:
        rows = self._times(part, 1)
        with closing(self._decode(part.media, "image")) as frames:
            for (time_ns,) in rows:
                frame = next(frames, None)
                if frame is None:
                    return self._cut_off(part)
                if (frame.height, frame.width) != (part.height, part.width):
                    raise ArtefactError(
                        f"{self.path / part.media}: a picture is {frame.width}x{frame.height}, "
                        f"and the header says {part.width}x{part.height}"
                    )
                yield Frame(time_ns, frame.to_ndarray(format=f"{part.order}24"), part.order)

    def _blocks(self, part: Part) -> Iterator[Block]:
        rows = self._times(part, BLOCK_COLUMNS)
        with closing(self._decode(part.media, "sound")) as frames:
            pieces = (self._piece(part, frame) for frame in frames)
            waiting = np.zeros((0, part.channels), np.int16)
            for run, index, count, time_ns in rows:
                if not (0 < count <= MAX_BLOCK_S * part.rate_hz and run >= 0 and index >= 0):
                    raise ArtefactError(
                        f"{self.path / part.times}: run {run}, index {index}, {count} samples "
                        "is no block of sound"
                    )
                while len(waiting) < count:
                    piece = next(pieces, None)
                    if piece is None:
                        return self._cut_off(part)
                    waiting = np.concatenate([waiting, piece])
                yield Block(time_ns, waiting[:count], part.rate_hz, run, index)
                waiting = waiting[count:]

    def _cut_off(self, part: Part) -> None:
        """Accept that what the times tell of was never written, in a recording cut off."""
        if self.header.complete:
            raise SourceError(f"{self.path / part.media} is damaged: it ends too early")

    def _piece(self, part: Part, frame: Any) -> npt.NDArray[np.int16]:
        came = (frame.format.name, frame.sample_rate, frame.layout.nb_channels)
        if came != ("s16", part.rate_hz, part.channels):
            raise ArtefactError(
                f"{self.path / part.media}: sound of {came}, and the header says "
                f"{('s16', part.rate_hz, part.channels)} (format, rate, channels)"
            )
        samples: npt.NDArray[np.int16] = frame.to_ndarray().reshape(-1, part.channels)
        return samples

    def _decode(self, name: str, kind: str) -> Generator[Any, None, None]:
        """Decode the only stream of a media file, up to where it was cut off."""
        av = require("av", extra="live", why="reading a recording")
        path = self.path / name
        _check_plain(path)
        try:
            # No other demuxer: some follow what a file names to other files and machines.
            with av.open(str(path), format="matroska") as container:
                stream = _only_stream(container, path, kind)
                yield from container.decode(stream)
        except av.FFmpegError as exc:
            if self.header.complete and not isinstance(exc, av.EOFError):
                raise SourceError(f"{path} is damaged: {exc}") from exc

    def _times(self, part: Part, columns: int) -> Iterator[list[int]]:
        file = self.path / part.times
        _check_plain(file)
        with file.open("rb") as rows:
            while data := rows.read(_ROWS_AT_ONCE * 8 * columns):
                whole = len(data) // (8 * columns) * 8 * columns  # the last may be cut off
                for row in np.frombuffer(data[:whole], TIMES).reshape(-1, columns).tolist():
                    self._check_time(file, row[-1])
                    yield row

    def _lines(self, file: Path, kind: str) -> Iterator[Line | Reading]:
        for row in _rows(file, _LINE if kind == "text" else _READING):
            self._check_time(file, row.time_ns)
            if isinstance(row, LineRow):
                yield Line(row.time_ns, row.text)
            else:
                yield Reading(row.time_ns, np.array(row.values, np.float64))

    def _check_time(self, file: Path, time_ns: int) -> None:
        if not -EARLIEST_NS <= time_ns - self.header.begun_ns <= LATEST_NS:
            raise ArtefactError(
                f"{file}: the capture time {time_ns} ns lies outside the recording, which begins "
                f"at {self.header.begun_ns} ns"
            )


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


def _only_stream(container: Any, path: Path, kind: str) -> Any:
    codec = container.streams[0].codec_context if len(container.streams) == 1 else None
    if codec is None or codec.name not in _CODECS[kind]:
        came = "several streams or none" if codec is None else codec.name
        raise ArtefactError(f"{path} holds {came}, and not one {_CODECS[kind][0]} stream")
    # Sound with a wrong checksum is an error. FFmpeg mends such a picture and does not tell.
    codec.options = {"max_pixels": str(MAX_PIXELS), "err_detect": "crccheck+explode"}
    return container.streams[0]


def _check_plain(file: Path) -> None:
    if file.is_symlink():
        raise ArtefactError(f"{file} is a link: a recording holds none, it could lead elsewhere")
    if not file.is_file():
        raise SourceError(f"{file} is missing from the recording")


def _rows(path: Path, row: TypeAdapter[Any]) -> Iterator[Any]:
    _check_plain(path)
    with path.open("rb") as file:
        while line := file.readline(_MAX_LINE_CHARS):
            if not line.endswith(b"\n"):
                if len(line) == _MAX_LINE_CHARS:
                    raise ArtefactError(f"{path}: a line is longer than {_MAX_LINE_CHARS} bytes")
                return  # cut off in the middle
            try:
                yield row.validate_json(line)
            except ValueError as exc:
                raise ArtefactError(f"{path}: a line breaks a rule: {told(exc)}") from exc
