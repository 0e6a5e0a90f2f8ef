"""The files of a recording, and what may stand in them.

| file | holds |
|---|---|
| ``recording.json`` | this header, written when a track begins and at the end |
| ``NAME-N.mkv`` | pictures (FFV1) or sound (FLAC); N counts up where the format changes |
| ``NAME-N.times`` | int64, little endian; a row per picture (capture time) or per block of
  sound (run, index, samples, capture time) |
| ``NAME-0.jsonl`` | lines of a text, readings of a signal |
| ``log.jsonl`` | every encoding and every prediction, in order |

Time stamps inside the media are rounded to a millisecond by the container; those in
``.times`` are exact.

A recording is data from a stranger: sizes are capped, names lead nowhere else, and what
breaks a rule is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import Field, StringConstraints, ValidationError, model_validator
from typing_extensions import Self

from mmedge.errors import ArtefactError, IncompatibleError
from mmedge.specs import Modality, Name, Spec
from mmedge.specs.base import Note
from mmedge.specs.image import MAX_PIXELS

__all__ = [
    "BLOCK_COLUMNS",
    "HEADER",
    "LOG",
    "Header",
    "Part",
    "Track",
    "parse_header",
]

HEADER = "recording.json"
LOG = "log.jsonl"
SUFFIX = ".recording"
BLOCK_COLUMNS = 4
"""Numbers per block of sound in a ``.times`` file: run, index, samples, capture time."""
TIMES = np.dtype("<i8")
MAX_CHANNELS = 8
"""FLAC has no more."""
MAX_PARTS = 10_000
MAX_BLOCK_S = 60
"""So much sound is in one block at most."""
EARLIEST_NS, LATEST_NS = 3600 * 10**9, 366 * 24 * 3600 * 10**9
"""Capture times lie in the hour before the recording begins, or the year after it."""
_MAX_HEADER_BYTES = 64 * 2**20

FileName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}-\d{1,6}\.(mkv|times|jsonl)$")
]
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Count = Annotated[int, Field(ge=0, lt=2**63)]


class Part(Spec):
    """One media file of a track.

    Attributes:
        media: the file of the pictures or of the sound.
        times: the file of their capture times.
        order: of a picture's channels.
        height: rows of the pictures; 0 for sound.
        width: columns of the pictures; 0 for sound.
        rate_hz: of the sound; 0 for pictures.
        channels: of the sound; 0 for pictures.
    """

    media: FileName
    times: FileName
    order: Literal["rgb", "bgr"] = "rgb"
    height: Annotated[int, Field(ge=0, le=65_535)] = 0
    width: Annotated[int, Field(ge=0, le=65_535)] = 0
    rate_hz: Annotated[int, Field(ge=0, le=655_350)] = 0
    channels: Annotated[int, Field(ge=0, le=MAX_CHANNELS)] = 0


class Track(Spec):
    """What was recorded of one modality.

    Attributes:
        kind: of the modality.
        parts: media files in order of time; none for texts and signals.
        lines: file of the lines or readings, else ``None``.
        samples: pictures, blocks, lines or readings; of a recording that was cut off, those
            at the last time that its header was written.
        lost: samples that came and could not be kept up with.
    """

    kind: Literal["image", "sound", "text", "signal"]
    parts: Annotated[tuple[Part, ...], Field(strict=False, max_length=MAX_PARTS)] = ()
    lines: FileName | None = None
    samples: Count = 0
    lost: Count = 0

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        for part in self.parts:
            sizes = {
                "image": 0 < part.height * part.width <= MAX_PIXELS,
                "sound": part.rate_hz > 0 and part.channels > 0,
            }
            if not sizes.get(self.kind, False):
                raise ValueError(f"{part.media} cannot be a part of a track of kind {self.kind}")
        return self


class Header(Spec):
    """What a recording says about itself.

    Attributes:
        mmedge_recording: version of this layout.
        bundle: digest of the bundle that predicted meanwhile.
        model: its name.
        modalities: what the model saw, by name, in the order of presence.
        live: the pipeline's configuration, as `LiveConfig` takes it.
        begun_ns: pipeline time at the beginning.
        begun_utc_ns: the same moment by the wall clock.
        lossless: whether pictures are kept to the bit; sound always is.
        complete: it was ended in an orderly way; else it was cut off, and the last
            samples of its files may be missing.
        ended: why it ended, for people.
        ended_ns: pipeline time at the end; ``None`` while it goes on, or if it was cut off.
        tracks: by modality.
    """

    mmedge_recording: Literal[1] = 1
    bundle: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    model: str
    modalities: dict[Name, Modality]
    live: dict[str, Any]
    begun_ns: Int64
    begun_utc_ns: Int64
    lossless: bool = True
    complete: bool = False
    ended: str = ""
    ended_ns: Int64 | None = None
    tracks: dict[Name, Track] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_tracks(self) -> Self:
        for name, track in self.tracks.items():
            modality = self.modalities.get(name)
            if modality is None or modality.kind != track.kind:
                raise ValueError(f"track {name!r} is of no {track.kind} modality")
        return self

    @model_validator(mode="after")
    def _check_end(self) -> Self:
        if self.ended_ns is not None and not 0 <= self.ended_ns - self.begun_ns <= LATEST_NS:
            raise ValueError(f"it cannot have ended at {self.ended_ns} ns")
        return self


class EncodingRow(Spec):
    """A line of the log: an encoder has run.

    Attributes:
        what: tells the line from others.
        modality: whose.
        number: of the run.
        place: where its window is found again; see `Window.place`.
        reset: why its state began anew; empty if it did not.
        skipped: windows before it that were never encoded.
    """

    what: Literal["encoding"] = "encoding"
    modality: Name
    number: Count
    place: Annotated[tuple[Int64, ...], Field(strict=False, min_length=1, max_length=10_000)]
    reset: str = ""
    skipped: Count = 0


class PromptsRow(Spec):
    """A line of the log: from here on a matching task chooses among these texts.

    Attributes:
        what: tells the line from others.
        time_ns: when they were set.
        texts: to choose from.
        template: the sentence around each, or several.
    """

    what: Literal["prompts"] = "prompts"
    time_ns: Int64
    texts: Annotated[tuple[str, ...], Field(strict=False)]
    template: str | Annotated[tuple[str, ...], Field(strict=False)]


class ThreadsRow(Spec):
    """A line of the log: how the graphs run from here on.

    Attributes:
        graphs: with so many threads each, ``None`` as the backend likes.
        backend: by what.
        plan: the bundle's files that are run.
    """

    what: Literal["threads"] = "threads"
    graphs: dict[Name, Annotated[int, Field(ge=1, le=1024)] | None]
    backend: Note = "cpu"
    plan: Name = "fp32"


class SwapRow(Spec):
    """A line of the log: from here on a bundle opened anew predicts, counting from 0."""

    what: Literal["swap"] = "swap"
    bundle: str


class Decided(Spec, extra="ignore"):
    """What a replay needs of a decision; the rest is for comparison."""

    time_ns: Int64
    bundle: str
    absent: dict[Name, str]


class TickRow(Spec):
    """A line of the log: a prediction was made.

    Attributes:
        what: tells the line from others.
        uses: modality -> number of the encoding that it was made of.
        utc_ns: its time by the wall clock.
        decision: as `Tick.decision` gives it.
    """

    what: Literal["tick"] = "tick"
    uses: dict[Name, Count]
    utc_ns: Annotated[int, Field(ge=0, lt=2**62)]
    decision: Decided


class LineRow(Spec):
    """A line of text, of a text's track."""

    time_ns: Int64
    text: str


class ReadingRow(Spec):
    """A reading, of a signal's track."""

    time_ns: Int64
    values: Annotated[tuple[float, ...], Field(strict=False, max_length=4096)]


Row: TypeAlias = EncodingRow | TickRow | PromptsRow | ThreadsRow | SwapRow
LogRow = Annotated[Row, Field(discriminator="what")]


def told(exc: ValueError) -> str:
    """Give the first thing that is wrong, in one line."""
    if not isinstance(exc, ValidationError):
        return str(exc)
    first = exc.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(each) for each in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])


def parse_header(path: Path) -> Header:
    """Read the header of a recording's folder.

    Raises:
        ArtefactError: it is no recording, or its header breaks a rule.
        IncompatibleError: a newer mmedge wrote it.
    """
    file = path / HEADER
    if file.is_symlink() or not file.is_file():
        raise ArtefactError(f"{path} is not a recording: it has no {HEADER}")
    if file.stat().st_size > _MAX_HEADER_BYTES:
        raise ArtefactError(f"{file} is larger than {_MAX_HEADER_BYTES} bytes: no header is")
    data = file.read_bytes()
    try:
        fields = json.loads(data)
        version = fields.get("mmedge_recording") if isinstance(fields, dict) else None
        if isinstance(version, int) and version > 1:
            raise IncompatibleError(
                f"{path} has version {version}, this mmedge reads up to 1. Upgrade mmedge."
            )
        return Header.model_validate_json(data)
    except (ValueError, RecursionError) as exc:
        why = told(exc) if isinstance(exc, ValueError) else "it is nested too deeply"
        raise ArtefactError(f"{file} is not the header of a recording: {why}") from exc
