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
    ScoredTask,
    TaskPrediction,
    read_task,
    refuse_nan,
    task_scores,
    winner,
)
from mmedge.runtime.prompts import Prompts, match_prompts
from mmedge.runtime.temperatures import Temperatures
from mmedge.specs import Classification, Raw

__all__ = ["MAX_ROWS", "decide"]

MAX_ROWS = 64
"""Rows of the fusion head per call: tokens are large, and a row a coalition are many."""

Bools = NDArray[np.bool_]
_EVERYTHING: Bools = np.ones((1, 1), dtype=bool)
Fuse = Callable[[Arrays, Bools], Mapping[str, NDArray[np.generic]]]


def decide(
    manifest: Manifest,
    fuse: Fuse,
    embeddings: Arrays,
    presence: Bools,
    *,
    explain: bool,
    prompts: Prompts | None,
    temperatures: Temperatures | None = None,
) -> list[Prediction]:
    """Turn embeddings into predictions.

    Args:
        manifest: the bundle's.
        fuse: runs the head on a batch.
        embeddings: fusion input -> ``[B, ...]``.
        presence: bool ``[B, M]``. A row with nothing present is not asked about.
        explain: also compute contributions and conflict.
        prompts: take the place of their matching task's answer.
        temperatures: of subsets of modalities; without them each task has its own.

    Raises:
        ProofError: the head answers with NaN or infinity.
    """
    told = presence.tolist()
    some = [index for index, row in enumerate(told) if any(row)]
    here, kept = presence, embeddings
    if len(some) < len(presence):
        here, kept = presence[some], {name: array[some] for name, array in embeddings.items()}
    answers = []
    if some:
        known = temperatures or Temperatures(manifest.presence, {})
        answers = _ask(manifest, fuse, kept, here, explain=explain, temperatures=known)
    if prompts is not None:
        chosen = match_prompts(prompts, kept, here, manifest.presence, fuse)
        for tasks, answer in zip(answers, chosen, strict=True):
            del tasks[prompts.task]
            if answer is not None:
                tasks[prompts.task] = answer
    by_row = dict(zip(some, answers, strict=True))
    return [
        Prediction(
            tasks=by_row.get(index, {}),
            presence=dict(zip(manifest.presence, row, strict=True)),
        )
        for index, row in enumerate(told)
    ]


def _ask(
    manifest: Manifest,
    fuse: Fuse,
    embeddings: Arrays,
    presence: Bools,
    *,
    explain: bool,
    temperatures: Temperatures,
) -> list[dict[str, TaskPrediction]]:
    """Ask the head once per sample and coalition; a raw task is not explained.

    The score of a coalition is the one that would be given if only its members were present,
    so each has the temperature of its own subset.
    """
    scored = {n: t for n, t in manifest.tasks.items() if not isinstance(t, Raw)}
    asked, rows = presence, _EVERYTHING
    if explain and scored:
        rows = coalitions(presence.shape[1])
        asked = (presence[:, None] & rows).reshape(-1, presence.shape[1])
    raw = [name for name in manifest.tasks if name not in scored]
    outputs = _fuse_in_parts(fuse, embeddings, asked, len(rows), {name: len(rows) for name in raw})
    scores = {
        name: task_scores(task, outputs[name], temperatures.of(name, task, asked)).reshape(
            len(presence), len(rows), -1
        )
        for name, task in scored.items()
    }
    return [
        {
            name: _answer(manifest, scored[name], scores[name][i], row, rows)
            if name in scored
            else TaskPrediction(scores={}, contributions={}, tensor=outputs[name][i])
            for name in manifest.tasks
        }
        for i, row in enumerate(presence)
    ]


def _fuse_in_parts(
    fuse: Fuse,
    embeddings: Arrays,
    presence: Bools,
    repeats: int,
    strides: Mapping[str, int],
) -> dict[str, NDArray[np.float32]]:
    """Run the head on rows that repeat samples, without ever holding all their copies.

    Of a task in ``strides`` only every so many rows are kept.
    """
    kept: dict[str, list[NDArray[np.float32]]] = {}
    for begin in range(0, len(presence), MAX_ROWS):
        part, asked = embeddings, presence
        if repeats > 1 or len(presence) > MAX_ROWS:
            asked = presence[begin : begin + MAX_ROWS]
            owners = np.arange(begin, begin + len(asked)) // repeats
            part = {name: array[owners] for name, array in embeddings.items()}
        outputs = fuse(part, asked)
        refuse_nan(outputs)
        for task, output in outputs.items():
            stride = strides.get(task, 1)
            kept.setdefault(task, []).append(
                output[-begin % stride :: stride].astype(np.float32, copy=False)
            )
    return {task: p[0] if len(p) == 1 else np.concatenate(p) for task, p in kept.items()}


def _answer(
    manifest: Manifest, task: ScoredTask, scores: NDArray[np.float64], present: Bools, rows: Bools
) -> TaskPrediction:
    if len(rows) == 1:
        return read_task(task, scores[0], {}, 0.0)
    # Exactly 0 where nothing is, though equal rows of a batch may differ in the last bit.
    given = map(float, np.where(present, shares(scores[:, winner(task, scores)]), 0.0))
    alone = (rows.sum(axis=1) == 1) & (rows & present).any(axis=1)
    against = conflict(scores[alone]) if isinstance(task, Classification) else 0.0
    return read_task(task, scores[0], dict(zip(manifest.presence, given, strict=True)), against)
