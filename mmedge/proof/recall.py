"""How often a matching task finds what belongs together among all that there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmedge.errors import ConfigError
from mmedge.manifest import FUSION, PRESENCE
from mmedge.proof.answers import Answers
from mmedge.proof.data import Prepared
from mmedge.runtime.embedding import zeros
from mmedge.runtime.pairs import pair_logits
from mmedge.specs import Matching, Task

__all__ = ["QUERIES", "Sought", "first_found", "recall_hits", "recall_k", "sought"]

Array = NDArray[np.generic]
Rows = NDArray[np.int64]

QUERIES = 1000
"""Queries at most: each is a row of the fusion head for every item."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sought:
    """What is asked, and what is to be found.

    Attributes:
        queries: int64 ``[Q]``, inputs of the task's first modality; 1,000 at most.
        partners: int64 ``[Q]``, the input of the second one that belongs to each.
    """

    queries: Rows
    partners: Rows


def recall_k(metric: str) -> int | None:
    """Read the K of ``recall_at_K``; ``None`` for any other metric."""
    found = re.fullmatch(r"recall_at_([1-9][0-9]{0,5})", metric)
    return int(found[1]) if found else None


def sought(prepared: Prepared, name: str, task: Task) -> Sought:
    """Ask for the partner of each sample that is labelled as matching.

    Args:
        prepared: the samples.
        name: of the task.
        task: itself.

    Raises:
        ConfigError: no matching task, or no sample has both modalities and the label ``true``.
    """
    asked, searched = _between(task, name)
    known, truths = prepared.truths(name)
    one, other = prepared.index(asked), prepared.index(searched)
    pairs = [row for row in known[truths.astype(bool)] if min(one[row], other[row]) >= 0]
    if not pairs:
        raise ConfigError(
            f"there is no clip to tell the recall of task {name!r} from: it takes clips with "
            f"{asked} and {searched} that match"
        )
    some = pairs[:QUERIES]
    return Sought(queries=one[some], partners=other[some])


def first_found(answers: Answers, task: str) -> Sought:
    """Ask for what a plan finds first, where no label tells what belongs together.

    Args:
        answers: of the plan.
        task: a matching task.

    Raises:
        ConfigError: no matching task, or no input of one of its modalities.
        ProofError: the head answers with NaN or infinity.
    """
    prepared = answers.store.prepared
    for modality in (between := _between(answers.predictor.manifest.tasks[task], task)):
        if not prepared.unique(modality):
            raise ConfigError(f"there is no clip with {modality} to search {task!r} by")
    queries = np.arange(min(QUERIES, prepared.unique(between[0])))
    best = [int(logits.argmax()) for logits in _searches(answers, task, queries)]
    return Sought(queries=queries, partners=np.array(best))


def recall_hits(
    answers: Answers, task: str, k: int, wanted: Sought | None = None
) -> NDArray[np.bool_]:
    """Search the partner of each query among all different inputs.

    Of the task's two modalities the first is asked, and the second is what is searched: each
    different input of it is one item, however many samples have it. A tie counts against the
    partner, as in `mmedge.proof.metrics.recall_at_k`. The other modalities are absent.

    Args:
        answers: of a plan to the samples.
        task: a matching task.
        k: from 1.
        wanted: what is to be found; what is labelled as matching if not given.

    Returns:
        Bool ``[Q]``: whether the partner was among the ``k`` best.

    Raises:
        ConfigError: no sample has both modalities and the label ``true``.
        ProofError: the head answers with NaN or infinity.
    """
    spec = answers.predictor.manifest.tasks[task]
    wanted = sought(answers.store.prepared, task, spec) if wanted is None else wanted
    found = zip(wanted.partners, _searches(answers, task, wanted.queries), strict=True)
    return np.array([np.sum(logits >= logits[partner]) <= k for partner, logits in found])


def _searches(answers: Answers, task: str, queries: Rows) -> Iterator[NDArray[np.float64]]:
    """Give the logits of all items, query by query."""
    predictor = answers.predictor
    manifest = predictor.manifest
    between = _between(manifest.tasks[task], task)
    embeddings = answers.store.of(predictor)
    one, many = ({n: embeddings[n] for n in manifest.encoder_outputs(m).values()} for m in between)
    inputs = [each for each in manifest.graphs[FUSION].inputs if each.name != PRESENCE]
    empty: dict[str, Array] = {each.name: zeros(each, 1) for each in inputs}
    presence = np.array([name in between for name in manifest.presence])
    for query in queries:
        asked = {name: array[query][None] for name, array in one.items()}
        yield pair_logits(task, {**empty, **asked}, many, presence, predictor.fuse)


def _between(task: Task, name: str) -> tuple[str, ...]:
    if not isinstance(task, Matching):
        raise ConfigError(f"task {name!r} is of kind {task.kind}; recall is of matching tasks")
    return task.between
