"""Lists of clips: JSON lines that name files, texts and labels."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmedge.errors import ArtefactError, ConfigError, SourceError
from mmedge.runtime.clips.container import check_file
from mmedge.runtime.clips.labels import read_label
from mmedge.runtime.clips.picture import read_image, read_images
from mmedge.runtime.clips.sound import read_sound
from mmedge.runtime.preprocess import Raw
from mmedge.specs import Image, Modality, Sound, Task, Text

__all__ = ["Clip", "Source", "check_labels", "parse_line", "read_clips"]

Source = Path | tuple[Path, ...] | str
"""A media file; the pictures of a clip, oldest first; or a text."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One line of a list of clips: what to read, and what the answer should be.

    Attributes:
        where: file and line, for messages.
        modalities: the bundle's modalities.
        sources: by modality; one that the line leaves out (or sets to null) is absent.
        labels: by task, as written, but that the file of a raw task is a path; checked if
            the tasks were known (see `read_label`).
        extra: the other columns (speaker, session...), as they stand.
    """

    where: str
    modalities: Mapping[str, Modality] = field(repr=False)
    sources: Mapping[str, Source]
    labels: Mapping[str, Any]
    extra: Mapping[str, Any]

    def load(self) -> dict[str, Raw]:
        """Read the raw samples that are there, for their preprocessors.

        Returns:
            RGB uint8 ``[h, w, 3]`` or ``[frames, h, w, 3]`` for an image, a `Pcm` of the
            whole sound, or a text.

        Raises:
            SourceError: a file cannot be read, or pictures of one clip differ in size.
            ResourceError: a file is too large.
            MissingDependencyError: a package that reads the file is not installed.
        """
        return {name: self._load(name, source) for name, source in self.sources.items()}

    def _load(self, name: str, source: Source) -> Raw:
        if isinstance(source, str):
            return source
        if isinstance(source, tuple):
            return read_images(source)
        if isinstance(self.modalities[name], Sound):
            return read_sound(source)
        return read_image(source)


def read_clips(
    path: str | os.PathLike[str],
    modalities: Mapping[str, Modality],
    tasks: Mapping[str, Task] | None = None,
    *,
    check_files: bool = True,
) -> Iterator[Clip]:
    """Read a list of clips, one JSON object per line; blank lines are passed over.

    A column named as a modality holds a path relative to the list's folder (for an image
    of several frames: a list of as many paths, oldest first) or, for a text, the text.
    ``labels`` holds an object from task to value; `read_label` says what a task takes. Other
    columns are kept as they are, but
    one that names an existing file is refused: it is a modality misspelt.

    Args:
        path: the list, UTF-8.
        modalities: the bundle's, by name.
        tasks: the bundle's, by name, to check labels by; ``None`` leaves them unread.
        check_files: refuse a line that names a medium that cannot be read.

    Yields:
        The clips in order; no media is decoded yet, but every file is known to exist unless
        ``check_files`` is off.

    Raises:
        SourceError: the list itself cannot be read.
        ArtefactError: a line is not what is said above; the message names it.
    """
    path = check_file(path)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                where = f"{path}, line {number}"
                row = parse_line(line, where)
                clip = _clip(row, where, path.parent, modalities, check=check_files)
                if tasks is not None:
                    labels = check_labels(clip.labels, where, path.parent, tasks)
                    clip = replace(clip, labels=labels)
                yield clip


def parse_line(line: bytes, where: str) -> dict[str, Any]:
    """Read one object of JSON lines; twins and numbers that are not finite are refused.

    Raises:
        ArtefactError: it is none.
    """
    try:
        row = json.loads(
            line.decode("utf-8-sig"),
            object_pairs_hook=_unique,
            parse_constant=_finite,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as exc:
        raise ArtefactError(
            f"{where}: not JSON ({exc}); write one object per line, such as "
            '{"camera": "a.png", "labels": {"digit": "3"}}'
        ) from exc
    if not isinstance(row, dict):
        raise ArtefactError(
            f"{where}: a {type(row).__name__}, not an object; write "
            '{"camera": "a.png", "labels": {"digit": "3"}}'
        )
    return row


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError(f"a name occurs twice among {[name for name, _ in pairs]}")
    return row


def _finite(number: str) -> float:
    if not math.isfinite(value := float(number)):
        raise ValueError(f"{number} is not a finite number")
    return value


def _clip(
    row: dict[str, Any],
    where: str,
    folder: Path,
    modalities: Mapping[str, Modality],
    *,
    check: bool,
) -> Clip:
    labels = row.pop("labels", {})
    if not isinstance(labels, dict):
        raise ArtefactError(
            f"{where}: 'labels' is {labels!r}; give an object from task to value, such as "
            '{"digit": "3"}'
        )
    columns = {name: row.pop(name, None) for name in modalities}
    sources = {
        name: _source(value, name, modalities[name], where, folder, check=check)
        for name, value in columns.items()
        if value is not None
    }
    for name, value in row.items():
        _refuse_unknown(name, value, where, folder, modalities)
    if not sources:
        raise ArtefactError(
            f"{where}: none of the modalities {sorted(modalities)} is there; its other columns "
            f"are {sorted(row)}"
        )
    return Clip(where=where, modalities=modalities, sources=sources, labels=labels, extra=row)


def check_labels(
    written: Mapping[str, Any], where: str, folder: Path, tasks: Mapping[str, Task]
) -> dict[str, Any]:
    """Check labels as they stand on a line; the file that one names is relative to ``folder``.

    Raises:
        ArtefactError: a task that there is not, or a label that it does not take.
    """
    labels: dict[str, Any] = {}
    for name, value in written.items():
        if name not in tasks:
            raise ArtefactError(
                f"{where}: a label for {name!r}, but the tasks are {sorted(tasks)}; rename it "
                "or leave it out"
            )
        raw = tasks[name].kind == "raw" and isinstance(value, str)
        labels[name] = _file(value, f"labels.{name}", where, folder) if raw else value
        try:
            read_label(name, tasks[name], labels[name])
        except ConfigError as exc:
            raise ArtefactError(f"{where}: {exc}") from exc
    return labels


def _refuse_unknown(
    name: str, value: object, where: str, folder: Path, modalities: Mapping[str, Modality]
) -> None:
    if isinstance(value, str) and value and _exists(folder / value):
        raise ArtefactError(
            f"{where}: '{name}' names the file '{value}', but the bundle has no such modality, "
            f"only {sorted(modalities)}; rename the column or leave it out"
        )


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _source(
    value: Any, name: str, modality: Modality, where: str, folder: Path, *, check: bool
) -> Source:
    if isinstance(modality, Text):
        if not isinstance(value, str) or not value.strip():
            raise ArtefactError(
                f"{where}: '{name}' is {value!r}; give a text, or leave it out if there is none"
            )
        return value
    if isinstance(modality, Image) and modality.frames > 1:
        if not isinstance(value, list) or len(value) != modality.frames:
            raise ArtefactError(
                f"{where}: '{name}' is {value!r}; give a list of {modality.frames} pictures, "
                "oldest first"
            )
        return tuple(_file(item, name, where, folder, check=check) for item in value)
    return _file(value, name, where, folder, check=check)


def _file(value: object, name: str, where: str, folder: Path, *, check: bool = True) -> Path:
    if not isinstance(value, str) or not value:
        raise ArtefactError(
            f"{where}: '{name}' is {value!r}; give the path of a file, or leave it out"
        )
    try:
        return check_file(folder / value) if check else folder / value
    except SourceError as exc:
        raise ArtefactError(f"{where}: '{name}': {exc}") from exc
