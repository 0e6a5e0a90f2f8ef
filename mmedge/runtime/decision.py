"""From embeddings to predictions: ask the fusion head, and say what its answers rest on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from mmedge.manifest import Manifest
from mmedge.runtime.backends import Arrays
from mmedge.runtime.contributions import coalitions, conflict, shares
from mmedge.runtime.prediction import (
    Prediction,
    TaskPrediction,
    read_task,
    refuse_nan,
    task_scores,
    winner,
)
from mmedge.runtime.prompts import Prompts, match_prompts
from mmedge.specs import Classification, Task

__all__ = ["MAX_ROWS", "decide"]

MAX_ROWS = 64
"""Rows of the fusion head per call: tokens are large, and a row a coalition are many."""

Bools = NDArray[np.bool_]
Fuse = Callable[[Arrays, Bools], Mapping[str, NDArray[np.generic]]]


def decide(
    manifest: Manifest,
    fuse: Fuse,
    embeddings: Arrays,
    presence: Bools,
    *,
    explain: bool,
    prompts: Prompts | None,
) -> list[Prediction]:
    """Turn embeddings into predictions.

    Args:
        manifest: the bundle's.
        fuse: runs the head on a batch.
        embeddings: fusion input -> ``[B, ...]``.
        presence: bool ``[B, M]``. A row with nothing present is not asked about.
        explain: also compute contributions and conflict.
        prompts: take the place of their matching task's answer.

    Raises:
        ProofError: the head answers with NaN or infinity.
    """
    some = np.flatnonzero(presence.any(axis=1))
    here = presence[some]
    kept = {name: array[some] for name, array in embeddings.items()}
    answers = _ask(manifest, fuse, kept, here, explain) if len(some) else []
    if prompts is not None:
        chosen = match_prompts(prompts, kept, here, manifest.presence, fuse)
        for tasks, answer in zip(answers, chosen, strict=True):
            del tasks[prompts.task]
            if answer is not None:
                tasks[prompts.task] = answer
    by_row = dict(zip(some.tolist(), answers, strict=True))
    return [
        Prediction(
            tasks=by_row.get(index, {}),
            presence=dict(zip(manifest.presence, map(bool, row), strict=True)),
        )
        for index, row in enumerate(presence)
    ]


def _ask(
    manifest: Manifest, fuse: Fuse, embeddings: Arrays, presence: Bools, explain: bool
) -> list[dict[str, TaskPrediction]]:
    """Ask the head once per sample and coalition."""
    count = presence.shape[1]
    rows = coalitions(count) if explain else np.ones((1, count), dtype=bool)
    asked = (presence[:, None] & rows).reshape(-1, count)
    outputs = _fuse_in_parts(fuse, embeddings, asked, np.arange(len(presence)).repeat(len(rows)))
    refuse_nan(outputs)
    scores = {
        name: task_scores(task, outputs[name]).reshape(len(presence), len(rows), -1)
        for name, task in manifest.tasks.items()
    }
    return [
        {
            name: _answer(manifest, task, scores[name][i], row, rows)
            for name, task in manifest.tasks.items()
        }
        for i, row in enumerate(presence)
    ]


def _fuse_in_parts(
    fuse: Fuse, embeddings: Arrays, presence: Bools, owners: NDArray[np.intp]
) -> dict[str, NDArray[np.generic]]:
    """Run the head on rows that repeat samples, without ever holding all their copies."""
    parts = []
    for begin in range(0, len(owners), MAX_ROWS):
        rows = slice(begin, begin + MAX_ROWS)
        feeds = {name: array[owners[rows]] for name, array in embeddings.items()}
        parts.append(fuse(feeds, presence[rows]))
    return {task: np.concatenate([part[task] for part in parts]) for task in parts[0]}


def _answer(
    manifest: Manifest, task: Task, scores: NDArray[np.float64], present: Bools, rows: Bools
) -> TaskPrediction:
    if len(rows) == 1:
        return read_task(task, scores[0], {}, 0.0)
    # Exactly 0 where nothing is, though equal rows of a batch may differ in the last bit.
    given = map(float, np.where(present, shares(scores[:, winner(task, scores)]), 0.0))
    alone = (rows.sum(axis=1) == 1) & (rows & present).any(axis=1)
    against = conflict(scores[alone]) if isinstance(task, Classification) else 0.0
    return read_task(task, scores[0], dict(zip(manifest.presence, given, strict=True)), against)
