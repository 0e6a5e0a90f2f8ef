"""Samples as the graphs take them: prepared once, kept on disk, equal inputs only once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mmedge.proof.data.store import Inputs, Table

__all__ = ["Prepared"]

Array = NDArray[np.generic]
Rows = NDArray[np.int64]
Step = dict[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """Samples on disk, or some of them; the folder they lie in is the caller's to remove.

    An *input* is what an encoder is given for a sample: one window, or, if it remembers, the
    windows of a clip in order. Samples that share one share its number, so that an encoder
    runs once for it. A view (`take`) numbers its samples and inputs anew, from 0.

    Attributes:
        modalities: in the manifest's order of presence.
        where: the place of each sample, for messages.
        columns: what else is known of the samples, by name; empty where one lacks it.
        groups: of each sample; see `mmedge.proof.data.split`.
        skipped: clips that could not be read, each with its place and why.
    """

    modalities: tuple[str, ...]
    where: list[str]
    columns: dict[str, list[str]]
    groups: list[str]
    skipped: list[str]
    stores: Mapping[str, Inputs]
    numbers: Mapping[str, Rows]  # of each sample, in the stores; -1 where absent
    tables: Mapping[str, Table]
    rows: Mapping[str, Rows]  # of each sample, in the tables; -1 without a label

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.where)

    @property
    def presence(self) -> NDArray[np.bool_]:
        """Bool ``[N, M]``: which modalities each sample has."""
        return np.stack([self.numbers[name] >= 0 for name in self.modalities], axis=1)

    @property
    def unlabelled(self) -> tuple[str, ...]:
        """The tasks that no sample has a label for."""
        return tuple(task for task, rows in self.rows.items() if not (rows >= 0).any())

    def truths(self, task: str, samples: Rows | None = None) -> tuple[Rows, Array]:
        """Read the labels of a task, as numbers (`mmedge.runtime.clips.read_label`).

        Args:
            task: which.
            samples: of these only; tensors of a raw task are large.

        Returns:
            Which samples have a label, int64 ``[K]``, and the labels, ``[K, ...]``.
        """
        among = np.arange(len(self)) if samples is None else samples
        known = among[self.rows[task][among] >= 0]
        return known, self.tables[task].read(self.rows[task][known])

    def unique(self, modality: str) -> int:
        """How many different inputs a modality has here."""
        return len(self._inputs(modality))

    def index(self, modality: str) -> Rows:
        """Int64 ``[N]``, the input of each sample; -1 where it lacks the modality."""
        numbers = self.numbers[modality]
        found = np.searchsorted(self._inputs(modality), numbers)
        return np.where(numbers >= 0, found, -1)

    def steps(self, modality: str) -> Rows:
        """Int64 ``[U]``, how many windows each input has: 1 for encoders without state."""
        return self.stores[modality].steps[self._inputs(modality)]

    def spread(self, modality: str) -> NDArray[np.float64]:
        """Float64 ``[U]``, the largest less the smallest number of each input."""
        return self.stores[modality].spread[self._inputs(modality)]

    def batches(
        self, modality: str, rows: Rows | None = None, batch: int = 32
    ) -> Iterator[tuple[Rows, Step]]:
        """Read the inputs of a modality whose encoder has no state, some at a time.

        Args:
            modality: which.
            rows: which inputs, in this order; all without it.
            batch: how many at a time, at most.

        Yields:
            The inputs' numbers, and graph input -> ``[B, ...]``.

        Raises:
            ValueError: an input has several windows; `walks` gives them.
        """
        for numbers, steps in self.walks(modality, rows, batch):
            windows = list(steps)
            if len(windows) > 1:
                raise ValueError(f"the inputs of {modality!r} have several windows; use walks()")
            yield numbers, windows[0]

    def walks(
        self, modality: str, rows: Rows | None = None, batch: int = 32
    ) -> Iterator[tuple[Rows, Iterator[Step]]]:
        """Read the inputs of any modality, some at a time, window by window.

        A state goes from one step to the next of a walk, row by row, and begins anew with
        each walk. Inputs of unequal length are in different walks, the shortest first.

        Args:
            modality: which.
            rows: which inputs; all without it.
            batch: how many at a time, at most.

        Yields:
            The inputs' numbers, and their windows in order: graph input -> ``[B, ...]``.
        """
        chosen = np.arange(self.unique(modality)) if rows is None else rows
        steps = self.steps(modality)[chosen]
        for length in np.unique(steps).tolist():
            equal = chosen[steps == length]
            for begin in range(0, len(equal), batch):
                some = equal[begin : begin + batch]
                yield some, self._walk(modality, some, length)

    def take(self, samples: Sequence[int] | Rows) -> Prepared:
        """Give some of the samples, in this order, without copying anything on disk."""
        chosen = np.asarray(samples, np.int64)
        return replace(
            self,
            where=[self.where[row] for row in chosen],
            columns={name: [each[row] for row in chosen] for name, each in self.columns.items()},
            groups=[self.groups[row] for row in chosen],
            numbers={name: each[chosen] for name, each in self.numbers.items()},
            rows={task: each[chosen] for task, each in self.rows.items()},
        )

    def _walk(self, modality: str, inputs: Rows, length: int) -> Iterator[Step]:
        stored = self._inputs(modality)[inputs]
        return (self.stores[modality].read(stored, step) for step in range(length))

    def _inputs(self, modality: str) -> Rows:
        """The stored inputs that samples here have, ascending."""
        there = np.unique(self.numbers[modality])
        return there[there >= 0]
