"""Accuracy on labelled samples, for every subset of modalities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge.errors import ConfigError
from mmedge.proof.subsets import presence_rows, row_name
from mmedge.runtime.predictor import Predictor
from mmedge.specs import Classification

__all__ = ["SubsetAccuracy", "evaluate"]

Array = NDArray[np.generic]
CHUNK = 64
"""Samples held in memory at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsetAccuracy:
    """How often the most probable label was right, with only these modalities present.

    Attributes:
        task: which task.
        present: the subset, such as ``camera+mic``.
        correct: samples answered rightly.
        samples: samples that had all modalities of the subset and a label.
    """

    task: str
    present: str
    correct: int
    samples: int

    @property
    def accuracy(self) -> float:
        """Share of right answers, 0..1."""
        return self.correct / self.samples

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        return {**asdict(self), "accuracy": round(self.accuracy, 6)}


def evaluate(
    predictor: Predictor, samples: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]
) -> list[SubsetAccuracy]:
    """Answer labelled samples with every non-empty subset of the modalities.

    Each sample is encoded once. Thresholds play no part: the most probable label counts.

    Args:
        predictor: an open bundle.
        samples: pairs of raw inputs by modality, and labels by task.

    Raises:
        ConfigError: a label that the task does not know, no labelled sample, or a model
            without a classification task.
    """
    tasks = {n: t for n, t in predictor.manifest.tasks.items() if isinstance(t, Classification)}
    if not tasks:
        raise ConfigError("accuracy needs a classification task, and the model has none")
    names = predictor.manifest.presence
    rows = presence_rows(names)[:-1]  # the last one is the empty set
    hits = {task: np.zeros((len(rows), 2), dtype=int) for task in tasks}
    for chunk in _chunks(samples):
        have = np.array([[raw.get(name) is not None for name in names] for raw, _ in chunk])
        embeddings = predictor.embed([raw for raw, _ in chunk])
        for index, row in enumerate(rows):
            usable = (have | ~row).all(axis=1)
            outputs = predictor.fuse(embeddings, np.tile(row, (len(chunk), 1)))
            for task, spec in tasks.items():
                truth = np.array([_index(task, spec, labels) for _, labels in chunk])
                counted = usable & (truth >= 0)
                right = outputs[task].argmax(axis=1) == truth
                hits[task][index] += (right & counted).sum(), counted.sum()
    if not any(table.any() for table in hits.values()):
        raise ConfigError(f"no sample has a label for any of the tasks {sorted(tasks)}")
    return [
        SubsetAccuracy(task=task, present=row_name(names, row), correct=int(c), samples=int(n))
        for task, table in hits.items()
        for row, (c, n) in zip(rows, table, strict=True)
        if n
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


def _index(task: str, spec: Classification, labels: Mapping[str, Any]) -> int:
    if task not in labels:
        return -1
    if labels[task] not in spec.labels:
        raise ConfigError(
            f"label {labels[task]!r} of task {task!r} is none of {', '.join(spec.labels[:20])}"
        )
    return spec.labels.index(labels[task])
