"""Labelled samples from whatever the user has."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mmedge.errors import ConfigError
from mmedge.manifest import Manifest
from mmedge.proof.data.folder import read_folder
from mmedge.proof.data.function import load_function, read_function
from mmedge.proof.data.listing import read_lines
from mmedge.proof.data.recordings import read_recordings
from mmedge.proof.data.sample import Sample, Unread
from mmedge.runtime.recording.layout import HEADER

__all__ = ["read_samples"]

CLIPS = "clips.jsonl"

Data = str | os.PathLike[str] | Callable[[], Iterable[Any]]


def read_samples(
    data: Data, manifest: Manifest, *, split_by: str | None = None
) -> Iterator[Sample | Unread]:
    """Read labelled samples, one at a time; ``docs/calibration.md`` describes the forms.

    Args:
        data: a list of clips (JSON lines); a folder that holds one as ``clips.jsonl``, or is
            a recording, or holds recordings, or holds files in a folder per label;
            ``FILE.py:FUNCTION``; or a function that yields raw samples.
        manifest: the model's.
        split_by: the column that tells which samples belong together. Without it
            ``speaker``, then ``session``, and without those the files that they share.

    Yields:
        The samples in order; in place of one that cannot be read, why.

    Raises:
        ConfigError: no such data, or it is of no form that is known, or lacks the column.
        SourceError: the list cannot be read.
        ArtefactError: a line or a label is not what it has to be; the message names it.
    """
    if callable(data):
        name = getattr(data, "__name__", "the function")
        return read_function(data, manifest, where=name, split_by=split_by)
    path = Path(data)
    if not path.exists():
        if ".py:" in str(data):
            function = load_function(str(data))
            return read_function(function, manifest, where=str(data), split_by=split_by)
        raise ConfigError(
            f"there is no data at '{path}'; give JSON lines, a folder, or FILE.py:FUNCTION"
        )
    if not path.is_dir():
        return read_lines(path, manifest, split_by=split_by)
    if (path / CLIPS).is_file():
        return read_lines(path / CLIPS, manifest, split_by=split_by)
    recordings = [each.parent for each in (path / HEADER, *sorted(path.glob(f"*/{HEADER}")))]
    found = [each for each in recordings if (each / HEADER).is_file()]
    if found:
        return read_recordings(found, manifest, split_by=split_by)
    return read_folder(path, manifest, split_by=split_by)
