"""What a prediction is: from the head's outputs to labels, contributions and conflict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge.errors import ProofError
from mmedge.specs import Classification, Matching, MultiLabel, Raw, Regression, Task

__all__ = [
    "Prediction",
    "ScoredTask",
    "TaskPrediction",
    "read_task",
    "refuse_nan",
    "task_scores",
    "winner",
]

Floats = NDArray[np.float64]
ScoredTask = Classification | MultiLabel | Matching | Regression
"""Tasks whose answer is a score for each of several names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPrediction:  # noqa: PLW1641 - its dicts could not be hashed anyway
    """The answer to one task.

    Attributes:
        scores: label -> probability; for a regression, quantity -> value in its unit. Empty
            for a raw task, which has no label, contributions or conflict either.
        label: the most probable label, or ``None`` below the task's threshold; only for
            a classification.
        labels: the labels at or above their threshold; only for multi-label.
        contributions: modality -> its share in the winning score; together the shares
            are the score less the score with nothing present (exactly so up to 4
            modalities). An absent modality has 0. Empty if they were not asked for.
        units: quantity -> unit; only for a regression.
        conflict: 0..1, how firmly two modalities, each heard alone, back different labels
            (0 where they agree, or for tasks other than classification).
        tensor: float32 of the task's shape; only for a raw task.
    """

    scores: dict[str, float]
    label: str | None = None
    labels: tuple[str, ...] = ()
    contributions: dict[str, float]
    units: dict[str, str] = field(default_factory=dict)
    conflict: float = 0.0
    tensor: NDArray[np.float32] | None = None

    def __eq__(self, other: object) -> bool:
        """Tell whether two answers are the same, a tensor number by number."""
        if not isinstance(other, TaskPrediction):
            return NotImplemented
        names = [each.name for each in fields(self) if each.name != "tensor"]
        same = all(getattr(self, name) == getattr(other, name) for name in names)
        if self.tensor is None or other.tensor is None:
            return same and self.tensor is other.tensor
        return same and np.array_equal(self.tensor, other.tensor)

    def to_json(self) -> dict[str, Any]:
        """Give plain types; numbers rounded to 6 digits after the point."""
        if self.tensor is not None:
            rounded = self.tensor.astype(np.float64).round(6)
            return {"shape": list(self.tensor.shape), "tensor": rounded.tolist()}
        return {
            "label": self.label,
            "labels": list(self.labels),
            "scores": _rounded(self.scores),
            "contributions": _rounded(self.contributions),
            "conflict": round(self.conflict, 6),
            **({"units": dict(self.units)} if self.units else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the model says of one sample.

    Attributes:
        tasks: task -> answer. Empty when nothing was present: then no head was asked.
        presence: modality -> whether it counted.
    """

    tasks: dict[str, TaskPrediction]
    presence: dict[str, bool]

    @property
    def nothing_present(self) -> bool:
        """Whether there was nothing to predict from."""
        return not any(self.presence.values())

    def to_json(self) -> dict[str, Any]:
        """Give plain types, for a line of JSON."""
        return {
            "tasks": {name: task.to_json() for name, task in self.tasks.items()},
            "presence": dict(self.presence),
        }


def task_scores(
    task: Task, outputs: NDArray[np.generic], temperature: Floats | None = None
) -> Floats:
    """Turn a head's outputs ``[..., K]`` into probabilities, or values in their unit.

    A raw task's ``[..., *shape]`` stay what they are. A classification's logits are divided by
    ``temperature`` (``[..., 1]``), or without it by the task's own.
    """
    values = outputs.astype(np.float64)
    if isinstance(task, Classification):
        if temperature is not None:
            values /= temperature
        elif task.temperature != 1:
            values /= task.temperature
        values -= np.maximum.reduce(values, axis=-1, keepdims=True)
        np.exp(values, out=values)
        values /= np.add.reduce(values, axis=-1, keepdims=True)
        return values
    if isinstance(task, (MultiLabel, Matching)):
        return np.asarray(0.5 * (1 + np.tanh(0.5 * values)))  # the logistic, without overflow
    return values if isinstance(task, Raw) else values * task.scale + task.offset


def winner(task: Task, scores: Floats) -> int:
    """Choose the column whose score is explained, from ``[R, K]`` scores of coalitions.

    The highest of the full set (row 0); for a regression, whose quantities cannot be
    compared, the one that the modalities move the furthest.
    """
    if isinstance(task, Regression):
        return int(np.ptp(scores, axis=0).argmax())
    return int(scores[0].argmax())


def read_task(
    task: ScoredTask, scores: Floats, contributions: Mapping[str, float], conflict: float
) -> TaskPrediction:
    """Read one sample's scores ``[K]``."""
    names = task_names(task)
    table: dict[str, float] = dict(zip(names, scores.tolist(), strict=True))
    label: str | None = None
    labels: tuple[str, ...] = ()
    if isinstance(task, Classification):
        best = names[int(scores.argmax())]
        label = best if table[best] >= task.threshold else None
    elif isinstance(task, (MultiLabel, Matching)):
        labels = tuple(
            name
            for name, limit in zip(names, _thresholds(task), strict=True)
            if table[name] >= limit
        )
    return TaskPrediction(
        scores=table,
        label=label,
        labels=labels,
        contributions=dict(contributions),
        units=dict(zip(names, task.units, strict=True)) if isinstance(task, Regression) else {},
        conflict=conflict,
    )


def refuse_nan(outputs: Mapping[str, NDArray[np.generic]]) -> None:
    """Refuse a head's answers that are no numbers.

    Raises:
        ProofError: NaN or infinity in the output of a task.
    """
    for task, output in outputs.items():
        # A sum in float64 of what is no wider than float32 ends only where a term does.
        if not math.isfinite(np.add.reduce(output, axis=None, dtype=np.float64)):
            raise ProofError(
                f"the model answers task {task!r} with NaN or infinity. Is the input in the range "
                "that it was trained on? 'mmedge verify' tells whether the bundle is sound here."
            )


def task_names(task: ScoredTask) -> Sequence[str]:
    """Labels or quantities, in the order of the head's outputs."""
    return task.names if isinstance(task, Regression) else task.labels


def _thresholds(task: MultiLabel | Matching) -> Sequence[float]:
    one_for_all = len(task.thresholds) == 1
    return task.thresholds * len(task.labels) if one_for_all else task.thresholds


def _rounded(table: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in table.items()}
