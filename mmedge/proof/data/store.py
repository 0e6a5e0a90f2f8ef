"""Arrays on disk: appended one by one, read in batches, never mapped into memory.

A mapped file counts as memory of the process as far as it has been read; what is read by
``readinto`` does not, so that memory stays flat however much data there is.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmedge._closing import Closing
from mmedge.errors import ArtefactError
from mmedge.specs import TensorSpec

__all__ = ["Inputs", "Table"]

Array = NDArray[np.generic]
Arrays = Mapping[str, Array]
Rows = NDArray[np.int64]


class Table(Closing):
    """Arrays of one type and shape, one after the other in a file. Close it when all are in.

    Args:
        path: the file; it is made anew.
        dtype: of every array.
        shape: of every array.
    """

    def __init__(self, path: Path, dtype: str, shape: tuple[int, ...]) -> None:
        self.path = path
        self.dtype = np.dtype(dtype)
        self.shape = shape
        self._row_bytes = self.dtype.itemsize * math.prod(shape)
        self._count = 0
        self._file = path.open("wb")

    def __len__(self) -> int:
        """How many arrays there are."""
        return self._count

    def append(self, array: Array) -> int:
        """Write an array and give its number.

        Raises:
            ValueError: another type or shape, which is a bug of the caller.
            OSError: the disk is full.
        """
        if (array.dtype, array.shape) != (self.dtype, self.shape):
            raise ValueError(
                f"{array.dtype}{array.shape} into {self.path.name}, which holds "
                f"{self.dtype}{self.shape}"
            )
        self._file.write(np.ascontiguousarray(array).data)
        self._count += 1
        return self._count - 1

    def read(self, rows: Rows) -> Array:
        """Read arrays by their numbers: ``[len(rows), *shape]``.

        Raises:
            ArtefactError: the file is gone or has been cut.
        """
        out = np.empty((len(rows), *self.shape), self.dtype)
        target = out.reshape(-1).view(np.uint8).data
        size = self._row_bytes
        try:
            with self.path.open("rb") as file:
                for begin, end in _runs(rows):
                    file.seek(int(rows[begin]) * size)
                    piece = target[begin * size : end * size]
                    if file.readinto(piece) != len(piece):
                        raise ArtefactError(f"{self.path} was cut off; begin anew")
        except FileNotFoundError as exc:
            raise ArtefactError(f"{self.path} was removed meanwhile; begin anew") from exc
        return out

    def close(self) -> None:
        """End writing; reading goes on."""
        self._file.close()


class Inputs(Closing):
    """The different inputs of one modality: each a window, or several in order.

    Args:
        folder: where its files go.
        modality: whose.
        specs: what a window is prepared into, with the batch as axis 0.
    """

    def __init__(self, folder: Path, modality: str, specs: Sequence[TensorSpec]) -> None:
        self._tables = {
            spec.name: Table(
                folder / f"{modality}-{number}.bin",
                spec.dtype,
                tuple(size for size in spec.shape[1:] if isinstance(size, int)),
            )
            for number, spec in enumerate(specs)
        }
        self._numbers: dict[bytes, int] = {}
        self._first: list[int] = []
        self._steps: list[int] = []
        self._spread: list[float] = []
        self._windows = 0

    def __len__(self) -> int:
        """How many different inputs there are."""
        return len(self._first)

    def add(self, windows: Sequence[Arrays]) -> tuple[int, bytes]:
        """Keep an input unless there is an equal one.

        Args:
            windows: graph input -> array without batch, oldest first.

        Returns:
            Its number, and the hash of its content.
        """
        digest = _digest(windows, list(self._tables))
        if digest not in self._numbers:
            for window in windows:
                for name, table in self._tables.items():
                    table.append(window[name])
            self._first.append(self._windows)
            self._steps.append(len(windows))
            self._spread.append(_spread(windows))
            self._windows += len(windows)
            self._numbers[digest] = len(self._numbers)
        return self._numbers[digest], digest

    @property
    def steps(self) -> Rows:
        """How many windows each input has."""
        return np.array(self._steps, np.int64)

    @property
    def spread(self) -> NDArray[np.float64]:
        """Largest less smallest number of each input."""
        return np.array(self._spread, np.float64)

    def read(self, inputs: Rows, step: int = 0) -> dict[str, Array]:
        """Read one window of each of some inputs: graph input -> ``[len(inputs), ...]``."""
        rows = np.array(self._first, np.int64)[inputs] + step
        return {name: table.read(rows) for name, table in self._tables.items()}

    def close(self) -> None:
        """End writing, and forget what only writing needs."""
        self._numbers.clear()
        for table in self._tables.values():
            table.close()


def _digest(windows: Sequence[Arrays], names: Sequence[str]) -> bytes:
    # All windows of a modality have one shape, so that their bytes tell them apart.
    hasher = hashlib.blake2b(digest_size=16)
    for window in windows:
        for name in names:
            hasher.update(np.ascontiguousarray(window[name]).data)
    return hasher.digest()


def _spread(windows: Sequence[Arrays]) -> float:
    arrays = [array for window in windows for array in window.values()]
    return max(float(np.max(array)) for array in arrays) - min(float(np.min(a)) for a in arrays)


def _runs(rows: Rows) -> Iterator[tuple[int, int]]:
    """Give the ranges of neighbours that are consecutive numbers."""
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    edges = [0, *breaks.tolist(), len(rows)] if len(rows) else []
    return pairwise(edges)
