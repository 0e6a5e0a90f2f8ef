"""What goes into a gallery, and what is asked of it: files, texts and clips, window by window."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from mmedge.errors import ConfigError, SourceError
from mmedge.runtime.clips import Source, read_clips
from mmedge.runtime.offline import assign, only_text
from mmedge.runtime.windows.walk import iter_windows
from mmedge.specs import Modality

__all__ = ["Item", "read_items", "read_query"]

MAX_WINDOWS = 64
"""Of a query: all are held in memory, and each is compared with every entry."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something to put into a gallery: an entry for each modality that it has.

    Attributes:
        name: that hits are called by; characters that cannot be printed are escaped.
        inputs: raw inputs by modality, as `Predictor.predict` takes them.
        end_ns: where in its file the window ends.
    """

    name: str
    inputs: Mapping[str, Any]
    end_ns: int = 0


def read_items(
    modalities: Mapping[str, Modality],
    inputs: Sequence[str] = (),
    *,
    texts: Path | None = None,
    clips: Path | None = None,
    every_ms: int = 250,
) -> Iterator[Item]:
    """Read what a command line gives, file after file, window by window.

    Args:
        modalities: the bundle's.
        inputs: each as for `mmedge.runtime.offline.assign`.
        texts: a file with a text per line, for the only text modality.
        clips: JSON lines (`read_clips`); each modality of a line is an entry of its own.
        every_ms: hop where there is no sound.

    Raises:
        ConfigError: an input that no modality takes.
        SourceError: a file cannot be read.
    """
    for given in inputs:
        yield from _windows(assign([given], modalities), modalities, every_ms)
    if texts is not None:
        name = only_text(modalities)
        for line in _lines(texts):
            yield Item(name=line, inputs={name: line})
    for clip in read_clips(clips, modalities) if clips is not None else ():
        for name, source in clip.sources.items():
            yield from _windows({name: source}, modalities, every_ms)


def read_query(
    modalities: Mapping[str, Modality], given: str | None, *, text: str | None = None
) -> list[Mapping[str, Any]]:
    """Read a query: as for `mmedge.runtime.offline.assign`, or a text.

    Returns:
        Its windows, raw inputs by modality.

    Raises:
        ConfigError: not one of both, nothing in it that the model could see or hear, or more
            than 64 windows.
        SourceError: the file cannot be read.
    """
    if (given is None) == (text is None):
        raise ConfigError('give one query: FILE, NAME=FILE, NAME=TEXT, or --text "..."')
    sources = assign([] if given is None else [given], modalities, text=text)
    found = (window.raw for window in iter_windows(sources, modalities) if window.raw)
    windows: list[Mapping[str, Any]] = list(islice(found, MAX_WINDOWS + 1))
    if not windows:
        raise ConfigError(f"in {given} there is nothing that the model could see or hear")
    if len(windows) > MAX_WINDOWS:
        raise ConfigError(f"{given} has more than {MAX_WINDOWS} windows; ask with a shorter part")
    return windows


def _windows(
    sources: Mapping[str, Source], modalities: Mapping[str, Modality], every_ms: int
) -> Iterator[Item]:
    empty = True
    for window in iter_windows(sources, modalities, every_ms=every_ms):
        for modality, raw in window.raw.items():
            empty = False
            name = _name(sources[modality])
            yield Item(name=name, inputs={modality: raw}, end_ns=window.end_ns)
    if empty:
        where = ", ".join(sorted({_name(source) for source in sources.values()}))
        _log.warning("%s: nothing in it that the model could see or hear", where)


def _name(source: Source) -> str:
    return str(source[0] if isinstance(source, tuple) else source)


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as exc:
        raise SourceError(f"{path} cannot be read as lines of UTF-8: {exc}") from exc
    return [line.strip() for line in lines if line.strip()]
