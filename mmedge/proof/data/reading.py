"""Labelled samples from whatever the user has."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mmedge.errors import ConfigError
from mmedge.manifest import Manifest
from mmedge.proof.data.function import load_function, read_function
from mmedge.proof.data.listing import read_lines
from mmedge.proof.data.sample import Sample, Unread

__all__ = ["read_samples"]

CLIPS = "clips.jsonl"

Data = str | os.PathLike[str] | Callable[[], Iterable[Any]]


def read_samples(
    data: Data, manifest: Manifest, *, split_by: str | None = None
) -> Iterator[Sample | Unread]:
    """Read labelled samples, one at a time; ``docs/calibration.md`` describes the forms.

    Args:
        data: a list of clips (JSON lines), a folder that holds one as ``clips.jsonl``,
            ``FILE.py:FUNCTION``, or a function that yields raw samples.
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
    if path.is_dir():
        path = path / CLIPS
    return read_lines(path, manifest, split_by=split_by)
