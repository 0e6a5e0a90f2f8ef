"""Answers and truths of one task, as they come, and the metrics that its kind is judged by.

- classification: ``accuracy`` of the most probable label, ``macro_f1``, ``macro_precision``,
  ``macro_recall``, ``calibration_error``
- multi-label: ``mean_average_precision``; at the thresholds ``macro_f1``,
  ``macro_precision`` and ``macro_recall``; ``calibration_error`` over all labels
- matching: at the threshold ``accuracy``, ``f1``, ``precision`` and ``recall``; ``roc_auc``,
  ``calibration_error``
- regression: ``relative_mae``
- raw: ``relative_rms``, how far it is from given reference tensors

`mmedge.proof.metrics` defines them and names their sources. Means over classes go over those
that are answered or true; the precision of one that is never answered, and the recall of one
that is never true, count as 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge.proof.metrics import (
    accuracy,
    expected_calibration_error,
    mean_average_precision,
    precision_recall_f1,
    relative_mae,
    relative_rms,
    roc_auc,
)
from mmedge.runtime.prediction import task_scores
from mmedge.specs import Classification, Matching, MultiLabel, Raw, Regression, Task

__all__ = ["ClassMetrics", "Tally", "decisions"]

Array = NDArray[np.generic]
Floats = NDArray[np.float64]
Labelled = Classification | MultiLabel | Matching


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMetrics:
    """How good the answers are where one label is concerned.

    Attributes:
        samples: of how many it is the truth.
        precision: share of its answers that are right; ``None`` if it is never answered.
        recall: share of its truths that are answered; ``None`` if it is never true.
        f1: harmonic mean of both; ``None`` if it is neither answered nor true.
    """

    samples: int
    precision: float | None
    recall: float | None
    f1: float | None


class Tally:
    """What a task answered and should have answered."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._answers: list[Array] = []
        self._truths: list[Array] = []
        self._sure: list[Array] = []

    def __len__(self) -> int:
        """How many samples were counted."""
        return sum(map(len, self._truths))

    def add(self, outputs: Array, truths: Array, temperature: Floats | None = None) -> None:
        """Count some samples.

        Args:
            outputs: ``[N, *shape]``, what the head gave.
            truths: ``[N, ...]``, from `mmedge.runtime.clips.read_label`.
            temperature: ``[N, 1]``, what logits are divided by in place of the task's own.
        """
        scores = task_scores(self._task, outputs, temperature)
        answers: Array = scores
        if isinstance(self._task, Classification):
            answers = scores.argmax(axis=1)
            self._sure.append(scores.max(axis=1))
        elif isinstance(self._task, Matching):
            truths = truths.reshape(-1, 1)
        elif isinstance(self._task, Raw):
            # Tensors are large, and the norms of error and reference are all that is needed.
            reference = truths.astype(np.float64)
            answers, truths = _norms(scores - reference), _norms(reference)
        self._answers.append(answers)
        self._truths.append(truths)

    def metrics(self) -> dict[str, float]:
        """Give the metrics; one that these truths cannot tell is left out.

        Raises:
            ValueError: nothing was counted.
        """
        answers, truths = np.concatenate(self._answers), np.concatenate(self._truths)
        sure = np.concatenate(self._sure) if self._sure else answers
        values = _metrics(self._task, answers, truths, sure)
        return {name: value for name, value in values.items() if not np.isnan(value)}

    def classes(self) -> dict[str, ClassMetrics]:
        """Give precision, recall and F1 label by label; none for numbers and tensors."""
        if not isinstance(self._task, (Classification, MultiLabel, Matching)):
            return {}
        answers, truths = np.concatenate(self._answers), np.concatenate(self._truths)
        counts = _counts(self._task, answers, truths)
        table = np.transpose(precision_recall_f1(*counts)).tolist()
        return {
            label: ClassMetrics(
                samples=int(true), precision=_told(row[0]), recall=_told(row[1]), f1=_told(row[2])
            )
            for label, true, row in zip(self._task.labels, counts[2], table, strict=True)
        }


def _metrics(task: Task, answers: Array, truths: Array, sure: Array) -> dict[str, float]:
    if isinstance(task, Regression):
        return {"relative_mae": relative_mae(answers, truths)}
    if isinstance(task, Raw):
        return {"relative_rms": relative_rms(answers, truths)}
    if isinstance(task, Classification):
        first, right = {"accuracy": accuracy(answers, truths)}, answers == truths
    elif isinstance(task, MultiLabel):
        first, right = {"mean_average_precision": mean_average_precision(answers, truths)}, truths
    else:
        matched = decisions(task, answers.astype(np.float64))
        first, right = {"accuracy": accuracy(matched, truths)}, truths
        first["roc_auc"] = roc_auc(answers[:, 0], truths[:, 0])
    error = expected_calibration_error(sure.ravel(), right.ravel())
    return {**first, **_by_label(task, answers, truths), "calibration_error": error}


def _by_label(task: Labelled, answers: Array, truths: Array) -> dict[str, float]:
    """F1, precision and recall; of several labels their means."""
    precision, recall, f1 = precision_recall_f1(*_counts(task, answers, truths))
    if isinstance(task, Matching):
        return {"f1": float(f1[0]), "precision": float(precision[0]), "recall": float(recall[0])}
    there = ~np.isnan(f1)
    if not there.any():
        return {}
    each = {"macro_f1": f1, "macro_precision": precision, "macro_recall": recall}
    return {name: float(np.nan_to_num(values[there]).mean()) for name, values in each.items()}


def _counts(task: Labelled, answers: Array, truths: Array) -> tuple[Array, Array, Array]:
    """Of each label ``[K]``: how often it is rightly answered, answered, and true."""
    if isinstance(task, Classification):
        right, size = answers == truths, len(task.labels)
        hits, given, true = (
            np.bincount(each.astype(np.int64), minlength=size)
            for each in (truths[right], answers, truths)
        )
        return hits, given, true
    holds, true = decisions(task, answers.astype(np.float64)), truths.astype(bool)
    return (holds & true).sum(axis=0), holds.sum(axis=0), true.sum(axis=0)


def decisions(task: Labelled, scores: Floats) -> NDArray[Any]:
    """Turn scores ``[N, K]`` into the most probable label ``[N]``, or into which hold ``[N, K]``.

    A classification's threshold plays no part.
    """
    if isinstance(task, Classification):
        return np.asarray(scores.argmax(axis=1))
    return np.asarray(scores >= np.array(task.thresholds))


def _told(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 6)


def _norms(tensors: Floats) -> Array:
    """``[N, *shape]`` to ``[N]``."""
    return np.asarray(np.linalg.norm(tensors.reshape(len(tensors), -1), axis=1))
