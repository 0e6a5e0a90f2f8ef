"""A folder of labelled files: ``LABEL/NAME.ext``, or ``LABEL/MODALITY/NAME.ext``."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from mmedge.errors import ConfigError, SourceError
from mmedge.manifest import Manifest
from mmedge.proof.data.listing import Listed, read_listed
from mmedge.proof.data.sample import Sample, Unread
from mmedge.runtime.clips import Source
from mmedge.runtime.offline import assign, only_text
from mmedge.specs import Classification, Modality, Text

__all__ = ["read_folder"]

_log = logging.getLogger(__name__)

Placed = tuple[str | None, Path]
"""The modality that a file was put to by its folder, if it was, and the file."""


def read_folder(
    folder: Path, manifest: Manifest, *, split_by: str | None = None
) -> Iterator[Sample | Unread]:
    """Read files that lie in folders named as their label.

    Files of one name, whatever their ending, in one label's folder are one clip.

    Raises:
        ConfigError: the model has not one classification task; a folder is named as no label;
            there are columns to split by, which a folder has not; there is no file.
    """
    task, spec = _only_classification(manifest)
    folders, strays = _children(folder)
    if strays:
        _log.warning("%s: %d files lie beside the labels' folders, unused", folder, len(strays))
    strange = [each.name for each in folders if each.name not in spec.labels]
    if strange:
        raise ConfigError(
            f"{folder}: the folder {strange[0]!r} is named as none of the labels of {task!r}: "
            f"{', '.join(spec.labels[:20])}. Rename it, or let its name begin with a dot"
        )
    listed = [
        Listed(
            where=str(each / name),
            files=tuple(path.relative_to(folder).as_posix() for _, path in files),
            labels={task: each.name},
            columns={},
            sources=partial(_sources, files, manifest.modalities),
        )
        for each in folders
        for name, files in sorted(_clips(each, manifest.modalities).items())
    ]
    if not listed:
        raise ConfigError(
            f"there is no clip in {folder}: give a clips.jsonl in it, recordings, or a folder per "
            f"label ({', '.join(spec.labels[:5])}) with files in it"
        )
    return read_listed(listed, manifest, split_by=split_by)


def _only_classification(manifest: Manifest) -> tuple[str, Classification]:
    if len(manifest.tasks) == 1:
        ((name, task),) = manifest.tasks.items()
        if isinstance(task, Classification):
            return name, task
    told = ", ".join(f"{name} ({task.kind})" for name, task in manifest.tasks.items())
    raise ConfigError(
        "a folder of files can label one classification task, but the model has "
        f"{told}; list the clips in JSON lines (docs/calibration.md)"
    )


def _children(folder: Path) -> tuple[list[Path], list[Path]]:
    """Give folders and files in the order of their names; hidden ones are left out."""
    shown = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    return [each for each in shown if each.is_dir()], [each for each in shown if each.is_file()]


def _clips(label: Path, modalities: Mapping[str, Modality]) -> dict[str, list[Placed]]:
    folders, files = _children(label)
    placed: list[Placed] = [(None, file) for file in files]
    for each in folders:
        if each.name not in modalities:
            raise ConfigError(
                f"{each} is named as none of the modalities {', '.join(modalities)}; files lie in "
                "LABEL/ or LABEL/MODALITY/"
            )
        placed += [(each.name, file) for file in _children(each)[1]]
    clips: dict[str, list[Placed]] = {}
    for modality, file in placed:
        clips.setdefault(file.stem, []).append((modality, file))
    return clips


def _sources(files: Sequence[Placed], modalities: Mapping[str, Modality]) -> dict[str, Source]:
    """Find what each file is for: by its folder, as a text by its ending, else by its content."""
    sources: dict[str, Source] = {}
    for modality, path in files:
        name = modality
        if name is None and path.suffix.lower() == ".txt":
            name = only_text(modalities)
        if name is None:
            found = assign([str(path.absolute())], modalities)
        else:
            found = {name: _text(path) if isinstance(modalities[name], Text) else path}
        twice = sorted(set(found) & set(sources))
        if twice:
            raise ConfigError(f"{path}: another file of its clip feeds {twice[0]!r} already")
        sources |= found
    return sources


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig").strip()
    except (UnicodeDecodeError, OSError) as exc:
        raise SourceError(f"{path} is no text in UTF-8 ({exc}); save it again") from exc
