"""The files of a recording.

| file | holds |
|---|---|
| ``recording.json`` | this header, written at the beginning and again at the end |
| ``NAME-N.mkv`` | pictures (FFV1) or sound (FLAC); N counts up where the format changes |
| ``NAME-N.times`` | int64, little endian; a row per picture (capture time) or per block of
  sound (run, index, samples, capture time) |
| ``NAME.jsonl`` | lines of a text, readings of a signal |
| ``log.jsonl`` | every encoding and every prediction, in order |

Time stamps inside the media are rounded to a millisecond by the container; those in
``.times`` are exact.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, StringConstraints, ValidationError

from mmedge.errors import ArtefactError, IncompatibleError
from mmedge.specs import Modality, Name, Spec

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

FileName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]{0,62}(-\d{1,6})?\.(mkv|times|jsonl)$")
]


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
    rate_hz: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    channels: Annotated[int, Field(ge=0, le=64)] = 0


class Track(Spec):
    """What was recorded of one modality.

    Attributes:
        kind: of the modality.
        parts: media files in order of time; none for texts and signals.
        lines: file of the lines or readings, else ``None``.
        samples: pictures, blocks, lines or readings.
        lost: samples that came and could not be kept up with.
    """

    kind: Literal["image", "sound", "text", "signal"]
    parts: Annotated[tuple[Part, ...], Field(strict=False, max_length=100_000)] = ()
    lines: FileName | None = None
    samples: Annotated[int, Field(ge=0)] = 0
    lost: Annotated[int, Field(ge=0)] = 0


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
        tracks: by modality.
    """

    mmedge_recording: Literal[1] = 1
    bundle: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    model: str
    modalities: dict[Name, Modality]
    live: dict[str, Any]
    begun_ns: int
    begun_utc_ns: int
    lossless: bool = True
    complete: bool = False
    ended: str = ""
    tracks: dict[Name, Track] = Field(default_factory=dict)


def parse_header(path: Path) -> Header:
    """Read the header of a recording's folder.

    Raises:
        ArtefactError: it is no recording, or its header breaks a rule.
        IncompatibleError: a newer mmedge wrote it.
    """
    file = path / HEADER
    if not file.is_file():
        raise ArtefactError(f"{path} is not a recording: it has no {HEADER}")
    try:
        fields = json.loads(file.read_bytes())
        version = fields.get("mmedge_recording")
        if isinstance(version, int) and version > 1:
            raise IncompatibleError(
                f"{path} has version {version}, this mmedge reads up to 1. Upgrade mmedge."
            )
        return Header.model_validate_json(file.read_bytes())
    except (ValueError, AttributeError) as exc:
        text = exc.errors()[0]["msg"] if isinstance(exc, ValidationError) else str(exc)
        raise ArtefactError(f"{file} is not the header of a recording: {text}") from exc
