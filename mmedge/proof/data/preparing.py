"""Samples prepared once, by the preprocessing that runs live, and kept on disk."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from mmedge.errors import ConfigError, ResourceError
from mmedge.manifest import Manifest
from mmedge.proof.data.grouping import connected
from mmedge.proof.data.prepared import Array, Prepared
from mmedge.proof.data.sample import UNREADABLE, RawInput, Sample, Unread
from mmedge.proof.data.store import Inputs, Table
from mmedge.runtime.clips import read_label
from mmedge.specs import Classification, Matching, MultiLabel, Task

__all__ = ["MAX_SKIPPED", "prepare_samples"]

MAX_SKIPPED = 0.05
"""Share of the clips that may be unreadable."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Prepare = Callable[[str, Any], Mapping[str, Array]]
Windows = dict[str, list[Mapping[str, Array]]]


def prepare_samples(
    samples: Iterable[Sample | Unread],
    prepare: Prepare,
    manifest: Manifest,
    folder: Path,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Prepared:
    """Prepare samples as they are prepared live, and write them to a folder.

    Memory holds one clip and some hundred bytes for each, however many there are.

    Args:
        samples: from `mmedge.proof.data.read_samples`.
        prepare: `Predictor.prepare`: the arrays of one raw input.
        manifest: the model's.
        folder: new or empty, and the caller's to remove; after an error it is gone.
        on_progress: told how many clips were seen.

    Raises:
        ConfigError: no sample at all, or the folder holds something.
        MmedgeError: more than 5 % of the clips cannot be read; of the kind of the first.
        ResourceError: the disk is full.
    """
    _make(folder)
    try:
        with ExitStack() as stack:
            work = _Preparation(manifest, prepare, folder, stack)
            for seen, sample in enumerate(samples, start=1):
                work.take(sample)
                on_progress(seen)
        return work.finish()
    except BaseException as exc:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(exc, OSError) and exc.errno in _FULL:
            raise ResourceError(
                f"the disk of {folder} is full ({exc.strerror}); make room, or choose another "
                "folder for temporary files (TMPDIR)"
            ) from exc
        raise


class _Preparation:
    """What has been prepared so far."""

    def __init__(
        self, manifest: Manifest, prepare: Prepare, folder: Path, stack: ExitStack
    ) -> None:
        self._manifest = manifest
        self._prepare = prepare
        self._stores = {
            name: Inputs(folder, name, manifest.encoder_inputs(name)) for name in manifest.presence
        }
        self._tables = {
            task: Table(folder / f"task-{task}.bin", *_truth_form(spec))
            for task, spec in manifest.tasks.items()
        }
        for each in (*self._stores.values(), *self._tables.values()):
            stack.enter_context(each)
        self._numbers: dict[str, list[int]] = {name: [] for name in manifest.presence}
        self._rows: dict[str, list[int]] = {task: [] for task in manifest.tasks}
        self._where: list[str] = []
        self._columns: list[Mapping[str, str]] = []
        self._groups: list[str] = []
        self._contents: dict[int, set[str]] = {}  # of samples without a group
        self._unread: list[Unread] = []

    def take(self, sample: Sample | Unread) -> None:
        """Prepare a sample, or note that it cannot be."""
        if isinstance(sample, Unread):
            self._unread.append(sample)
            return
        try:
            windows = self._windows(sample)
        except UNREADABLE as exc:
            self._unread.append(Unread(sample.where, exc))
            return
        self._keep(sample, windows)

    def finish(self) -> Prepared:
        """Give what there is.

        Raises:
            MmedgeError: nothing, or too much of it could not be read.
        """
        _refuse_unread(self._unread, len(self._where))
        for row, name in zip(self._contents, connected(list(self._contents.values())), strict=True):
            self._groups[row] = name
        names = sorted({name for each in self._columns for name in each})
        return Prepared(
            modalities=self._manifest.presence,
            where=self._where,
            columns={name: [each.get(name, "") for each in self._columns] for name in names},
            groups=self._groups,
            skipped=[f"{each.where}: {each.error}" for each in self._unread],
            stores=self._stores,
            numbers={name: np.array(each, np.int64) for name, each in self._numbers.items()},
            tables=self._tables,
            rows={task: np.array(each, np.int64) for task, each in self._rows.items()},
        )

    def _windows(self, sample: Sample) -> Windows:
        def ready(name: str, raw: RawInput) -> Mapping[str, Array]:
            return self._prepare(name, raw)

        return {
            name: [ready(name, each) for each in (*sample.before.get(name, ()), raw)]
            for name, raw in sample.raws.items()
        }

    def _keep(self, sample: Sample, windows: Windows) -> None:
        contents: set[str] = set()
        for name, numbers in self._numbers.items():
            if name not in windows:
                numbers.append(-1)
                continue
            number, digest = self._stores[name].add(windows[name])
            numbers.append(number)
            # A text is no source: many clips of different people have the same one.
            if self._manifest.modalities[name].kind != "text" or len(windows) == 1:
                contents.add(digest.hex())
        for task, rows in self._rows.items():
            rows.append(self._label(task, sample) if task in sample.labels else -1)
        if not sample.group:
            self._contents[len(self._where)] = contents or {sample.where}
        self._where.append(sample.where)
        self._columns.append(sample.columns)
        self._groups.append(sample.group)

    def _label(self, task: str, sample: Sample) -> int:
        truth = read_label(task, self._manifest.tasks[task], sample.labels[task])
        return self._tables[task].append(truth)


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty; give a new folder for the prepared samples")


def _truth_form(task: Task) -> tuple[str, tuple[int, ...]]:
    """Type and shape of a label, as `read_label` gives it."""
    if isinstance(task, Classification):
        return "int64", ()
    if isinstance(task, Matching):
        return "bool", ()
    if isinstance(task, MultiLabel):
        return "bool", task.shape
    return "float32" if task.kind == "raw" else "float64", task.shape


def _refuse_unread(unread: list[Unread], read: int) -> None:
    total = len(unread) + read
    if not total:
        raise ConfigError(
            "there is no clip in the data: nothing is ever calibrated on random numbers; give "
            "clips as they come in service"
        )
    if len(unread) > MAX_SKIPPED * total:
        some = "\n".join(f"  {each.where}: {each.error}" for each in unread[:5])
        raise type(unread[0].error)(
            f"{len(unread)} of {total} clips cannot be read, more than {MAX_SKIPPED:.0%}; mend "
            f"them or take them out. The first:\n{some}"
        )
