"""Lists of clips on disk, whatever names them, turned into samples."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mmedge.errors import SourceError
from mmedge.manifest import Manifest
from mmedge.proof.data.grouping import ColumnChoice, connected
from mmedge.proof.data.sample import UNREADABLE, Sample, Unread, texts_of
from mmedge.proof.data.windowing import answered
from mmedge.runtime.clips import Source, read_clips
from mmedge.runtime.windows.walk import iter_windows

__all__ = ["Listed", "read_lines", "read_listed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A clip that is known, and not yet read.

    Attributes:
        where: the place it stands at, for messages.
        files: what it is made of; for one of texts only, these.
        labels: as for `Sample`.
        columns: as for `Sample`.
        sources: gives what `iter_windows` walks along.
    """

    where: str
    files: tuple[str, ...]
    labels: Mapping[str, Any]
    columns: Mapping[str, str]
    sources: Callable[[], Mapping[str, Source]]


def read_lines(
    path: Path, manifest: Manifest, *, split_by: str | None = None
) -> Iterator[Sample | Unread]:
    """Read a list of clips in JSON lines (`mmedge.runtime.clips.read_clips`).

    Raises:
        ConfigError: a clip lacks the column to split by.
        SourceError: the list itself cannot be read.
        ArtefactError: a line or a label is not what it has to be; the message names it.
    """
    clips = read_clips(path, manifest.modalities, manifest.tasks, check_files=False)
    listed = [
        Listed(
            where=clip.where,
            files=_files(clip.sources, path.parent),
            labels=clip.labels,
            columns=texts_of(clip.extra, clip.where),
            sources=partial(dict, clip.sources),
        )
        for clip in clips
    ]
    return read_listed(listed, manifest, split_by=split_by)


def read_listed(
    clips: Sequence[Listed], manifest: Manifest, *, split_by: str | None = None
) -> Iterator[Sample | Unread]:
    """Read clips one after the other; one that cannot be read is said to be so.

    Raises:
        ConfigError: a clip lacks the column to split by; before any is read.
    """
    choose = ColumnChoice(split_by)
    named = [choose(clip.where, clip.columns) for clip in clips]
    by_files = connected([clip.files for clip in clips])
    groups = [files if name is None else name for name, files in zip(named, by_files, strict=True)]
    return (_read(clip, group, manifest) for clip, group in zip(clips, groups, strict=True))


def _read(clip: Listed, group: str, manifest: Manifest) -> Sample | Unread:
    try:
        walk = iter_windows(clip.sources(), manifest.modalities)
        with closing(walk) as windows:  # type: ignore[type-var]
            raws, before = answered(windows, manifest.states)
    except UNREADABLE as exc:
        return Unread(clip.where, exc)
    if not raws:
        return Unread(clip.where, SourceError("nothing is in its first window; cut its beginning"))
    return Sample(
        where=clip.where,
        raws=raws,
        before=before,
        labels=clip.labels,
        columns=clip.columns,
        group=group,
    )


def _files(sources: Mapping[str, Source], folder: Path) -> tuple[str, ...]:
    paths = [
        path
        for source in sources.values()
        if not isinstance(source, str)
        for path in (source if isinstance(source, tuple) else (source,))
    ]
    # By what links lead to, and not by where the folder lies on this machine.
    names = [Path(os.path.relpath(_real(path), _real(folder))).as_posix() for path in paths]
    return tuple(names) or tuple(f"text {each}" for each in sources.values())


def _real(path: Path) -> str:
    return os.path.realpath(path)
