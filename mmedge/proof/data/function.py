"""A Python function that yields raw samples."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmedge.errors import ConfigError, MmedgeError
from mmedge.manifest import Manifest
from mmedge.proof.data.grouping import ColumnChoice
from mmedge.proof.data.sample import UNREADABLE, RawInput, Sample, Unread, texts_of
from mmedge.proof.data.windowing import cut_raw
from mmedge.runtime.clips import read_label

__all__ = ["load_function", "read_function"]


def load_function(where: str) -> Callable[[], Iterable[Any]]:
    """Find the function that ``FILE.py:FUNCTION`` names.

    The file's folder stays on the path, so that it may import its neighbours.

    Raises:
        ConfigError: there is no such file or function, or the file cannot be imported.
    """
    place, _, name = where.rpartition(":")
    path = Path(place)
    if not path.is_file():
        raise ConfigError(f"there is no file {place!r}; give FILE.py:FUNCTION")
    folder = str(path.absolute().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(f"mmedge_data_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{place} is not a Python file; give FILE.py:FUNCTION")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except MmedgeError:
        raise
    except (Exception, SystemExit) as exc:
        raise ConfigError(f"{place} cannot be imported: {_told(exc)}") from exc
    function: Any = getattr(module, name, None)
    if not callable(function):
        raise ConfigError(f"{place} has no function {name!r}")
    return function  # type: ignore[no-any-return]


def read_function(
    function: Callable[[], Iterable[Any]],
    manifest: Manifest,
    *,
    where: str,
    split_by: str | None = None,
) -> Iterator[Sample | Unread]:
    """Read what a function yields: ``raws``, ``(raws, labels)`` or ``(raws, labels, columns)``.

    Args:
        function: takes nothing; ``raws`` is a dict from modality to what
            `Predictor.predict` takes, but that a sound or a signal may be longer than a window.
        manifest: the model's.
        where: the function's name, for messages.
        split_by: the column that tells a sample's group.

    Raises:
        ConfigError: it fails, or yields something else, an unknown modality or task, or a
            label that its task does not take.
    """
    choose = ColumnChoice(split_by)
    for number, given in enumerate(_called(function, where), start=1):
        here = f"{where}, sample {number}"
        raws, labels, columns = _parts(given, here)
        _refuse_unknown("modality", raws, manifest.presence, here)
        _refuse_unknown("task", labels, manifest.tasks, here)
        _check_labels(labels, manifest, here)
        texts = texts_of(columns, here)
        group = choose(here, texts) or ""
        try:
            windows, before = _cut(raws, manifest)
        except UNREADABLE as exc:
            yield Unread(here, exc)
            continue
        if not windows:
            raise ConfigError(f"{here}: it has none of {', '.join(manifest.presence)}")
        yield Sample(
            where=here, raws=windows, before=before, labels=labels, columns=texts, group=group
        )


def _called(function: Callable[[], Iterable[Any]], where: str) -> Iterator[Any]:
    try:
        yield from function()
    except MmedgeError:
        raise
    except (Exception, SystemExit) as exc:
        raise ConfigError(f"{where} failed: {_told(exc)}") from exc


def _parts(
    given: Any, where: str
) -> tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]:
    parts = given if isinstance(given, tuple) else (given,)
    if not 1 <= len(parts) <= 3 or not all(isinstance(part, Mapping) for part in parts):
        came = ", ".join(type(part).__name__ for part in parts)
        raise ConfigError(
            f"{where} is ({came}); yield a dict of raw inputs, or a tuple of it, a dict of labels "
            "and, if there are any, a dict of columns"
        )
    raws, labels, columns = (*parts, {}, {})[:3]
    there = {name: raw for name, raw in raws.items() if raw is not None}
    return there, labels, columns


def _refuse_unknown(what: str, came: Iterable[str], known: Iterable[str], where: str) -> None:
    strange = sorted(set(came) - set(known))
    if strange:
        raise ConfigError(
            f"{where}: the model has no {what} {strange[0]!r}; it has {', '.join(known)}"
        )


def _check_labels(labels: Mapping[str, Any], manifest: Manifest, where: str) -> None:
    try:
        for task, label in labels.items():
            read_label(task, manifest.tasks[task], label)
    except ConfigError as exc:
        raise ConfigError(f"{where}: {exc}") from exc


def _cut(
    raws: Mapping[str, Any], manifest: Manifest
) -> tuple[dict[str, RawInput], dict[str, tuple[RawInput, ...]]]:
    last, before = {}, {}
    for name, raw in raws.items():
        windows = cut_raw(name, manifest.modalities[name], raw, remembers=name in manifest.states)
        last[name] = windows[-1]
        if windows[:-1]:
            before[name] = tuple(windows[:-1])
    return last, before


def _told(exc: BaseException) -> str:
    frame = traceback.extract_tb(exc.__traceback__)[-1]
    first = str(exc).partition("\n")[0]
    return f"{type(exc).__name__}: {first} ({Path(frame.filename).name}, line {frame.lineno})"
