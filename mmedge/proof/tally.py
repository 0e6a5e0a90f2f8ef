"""Answers and truths of one task, as they come, and the metrics that its kind is judged by.

| task | metrics |
|---|---|
| classification | ``accuracy`` of the most probable label, ``macro_f1`` |
| multi-label | ``mean_average_precision`` |
| matching | ``accuracy`` at the threshold, ``roc_auc`` |
| regression | ``relative_mae`` |
| raw | ``relative_rms``: how far it is from given reference tensors |

`mmedge.proof.metrics` defines them and names their sources.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmedge.proof.metrics import (
    accuracy,
    macro_f1,
    mean_average_precision,
    relative_mae,
    relative_rms,
    roc_auc,
)
from mmedge.runtime.prediction import task_scores
from mmedge.specs import Classification, Matching, MultiLabel, Raw, Task

__all__ = ["Tally", "decisions"]

Array = NDArray[np.generic]


class Tally:
    """What a task answered and should have answered."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._answers: list[Array] = []
        self._truths: list[Array] = []

    def __len__(self) -> int:
        """How many samples were counted."""
        return sum(map(len, self._truths))

    def add(self, outputs: Array, truths: Array) -> None:
        """Count some samples.

        Args:
            outputs: ``[N, *shape]``, what the head gave.
            truths: ``[N, ...]``, from `mmedge.runtime.clips.read_label`.
        """
        scores = task_scores(self._task, outputs)
        answers: Array = scores
        if isinstance(self._task, Classification):
            answers = scores.argmax(axis=1)
        elif isinstance(self._task, Matching):
            answers = scores[:, 0]
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
        values = _metrics(self._task, answers, truths)
        return {name: value for name, value in values.items() if not np.isnan(value)}


def decisions(
    task: Classification | MultiLabel | Matching, scores: NDArray[np.float64]
) -> NDArray[np.generic]:
    """Turn scores ``[N, K]`` into the most probable label ``[N]``, or into which hold ``[N, K]``.

    A classification's threshold plays no part.
    """
    if isinstance(task, Classification):
        return np.asarray(scores.argmax(axis=1))
    return np.asarray(scores >= np.array(task.thresholds))


def _norms(tensors: NDArray[np.float64]) -> Array:
    """``[N, *shape]`` to ``[N]``."""
    return np.asarray(np.linalg.norm(tensors.reshape(len(tensors), -1), axis=1))


def _metrics(task: Task, answers: Array, truths: Array) -> dict[str, float]:
    if isinstance(task, Classification):
        return {"accuracy": accuracy(answers, truths), "macro_f1": macro_f1(answers, truths)}
    if isinstance(task, MultiLabel):
        return {"mean_average_precision": mean_average_precision(answers, truths)}
    if isinstance(task, Matching):
        matched = answers.astype(np.float64) >= task.threshold
        return {"accuracy": accuracy(matched, truths), "roc_auc": roc_auc(answers, truths)}
    if isinstance(task, Raw):
        return {"relative_rms": relative_rms(answers, truths)}
    return {"relative_mae": relative_mae(answers, truths)}
