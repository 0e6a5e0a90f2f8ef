"""Every task's metrics on labelled samples, for every subset of modalities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge.errors import ConfigError
from mmedge.proof.subsets import presence_rows, row_name
from mmedge.proof.tally import Tally
from mmedge.runtime.clips import read_label
from mmedge.runtime.prediction import refuse_nan
from mmedge.runtime.predictor import Predictor
from mmedge.specs import Task

__all__ = ["SubsetMetrics", "evaluate"]

Array = NDArray[np.generic]
CHUNK = 64
"""Samples held in memory at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsetMetrics:
    """How good the answers to a task are with only these modalities present.

    Attributes:
        task: which task.
        present: the subset, such as ``camera+mic``.
        samples: samples that had all modalities of the subset and a label.
        metrics: those of the task's kind by name, see `mmedge.proof.tally`. One that these
            samples cannot tell is left out.
    """

    task: str
    present: str
    samples: int
    metrics: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        rounded = {name: round(value, 6) for name, value in self.metrics.items()}
        return {**asdict(self), "metrics": rounded}


def evaluate(
    predictor: Predictor, samples: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]
) -> list[SubsetMetrics]:
    """Answer labelled samples with every non-empty subset of the modalities.

    Each sample is encoded once. A classification's threshold plays no part: the most
    probable label counts.

    Args:
        predictor: an open bundle.
        samples: pairs of raw inputs by modality, and labels by task; those that a task
            takes are in `mmedge.runtime.clips.labels`. A task may have none.

    Raises:
        ConfigError: a label that is not what its task takes, or no labelled sample.
        ProofError: the head answers with NaN or infinity.
    """
    tasks, names = predictor.manifest.tasks, predictor.manifest.presence
    rows = presence_rows(names)[:-1]  # the last one is the empty set
    tallies = {task: [Tally(spec) for _ in rows] for task, spec in tasks.items()}
    for chunk in _chunks(samples):
        have = np.array([[raw.get(name) is not None for name in names] for raw, _ in chunk])
        truths = {task: _truths(task, spec, chunk) for task, spec in tasks.items()}
        embeddings = predictor.embed([raw for raw, _ in chunk])
        for index, row in enumerate(rows):
            usable = np.flatnonzero((have | ~row).all(axis=1))
            if len(usable):
                here = {name: array[usable] for name, array in embeddings.items()}
                outputs = predictor.fuse(here, np.tile(row, (len(usable), 1)))
                refuse_nan(outputs)
                for task, known in truths.items():
                    _count(tallies[task][index], outputs[task], [known[i] for i in usable])
    if not any(len(tally) for each in tallies.values() for tally in each):
        raise ConfigError(f"no sample has a label for any of the tasks {sorted(tasks)}")
    return [
        SubsetMetrics(
            task=task, present=row_name(names, row), samples=len(tally), metrics=tally.metrics()
        )
        for task, each in tallies.items()
        for row, tally in zip(rows, each, strict=True)
        if len(tally)
    ]


def _chunks(samples: Iterable[tuple[Any, Any]]) -> Iterable[list[tuple[Any, Any]]]:
    chunk: list[tuple[Any, Any]] = []
    for sample in samples:
        chunk.append(sample)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _truths(task: str, spec: Task, chunk: list[tuple[Any, Any]]) -> list[Array | None]:
    """The labels of a task as numbers; ``None`` where a sample has none."""
    return [read_label(task, spec, row[task]) if task in row else None for _, row in chunk]


def _count(tally: Tally, outputs: Array, truths: list[Array | None]) -> None:
    """Count the samples that have a label."""
    known = [(index, truth) for index, truth in enumerate(truths) if truth is not None]
    if known:
        tally.add(outputs[[index for index, _ in known]], np.stack([truth for _, truth in known]))
