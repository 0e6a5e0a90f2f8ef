"""How often a matching task finds what belongs together among all that there is."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mmedge.errors import ConfigError
from mmedge.manifest import FUSION, PRESENCE
from mmedge.proof.answers import Answers
from mmedge.runtime.embedding import zeros
from mmedge.runtime.pairs import pair_logits
from mmedge.specs import Matching

__all__ = ["QUERIES", "recall_hits", "recall_k"]

Array = NDArray[np.generic]

QUERIES = 1000
"""Queries at most: each is a row of the fusion head for every item."""


def recall_k(metric: str) -> int | None:
    """Read the K of ``recall_at_K``; ``None`` for any other metric."""
    found = re.fullmatch(r"recall_at_([1-9][0-9]{0,5})", metric)
    return int(found[1]) if found else None


def recall_hits(
    answers: Answers, task: str, k: int, on_query: Callable[[int], None] = lambda _: None
) -> NDArray[np.bool_]:
    """Search the partner of each sample that matches among all different inputs.

    Of the task's two modalities the first is asked, and the second is what is searched: each
    different input of it is one item, however many samples have it. A tie counts against the
    partner, as in `mmedge.proof.metrics.recall_at_k`. The other modalities are absent. Of
    more than 1,000 queries the first that many count.

    Args:
        answers: of a plan to the samples.
        task: a matching task.
        k: from 1.
        on_query: told how many were asked.

    Returns:
        Bool ``[Q]``: whether the partner was among the ``k`` best.

    Raises:
        ConfigError: no sample has both modalities and the label ``true``.
        ProofError: the head answers with NaN or infinity.
    """
    predictor, prepared = answers.predictor, answers.store.prepared
    spec = predictor.manifest.tasks[task]
    if not isinstance(spec, Matching):
        raise ConfigError(f"task {task!r} is of kind {spec.kind}; recall is of matching tasks")
    asked, searched = spec.between
    known, truths = prepared.truths(task)
    one, other = prepared.index(asked), prepared.index(searched)
    queries = [row for row in known[truths.astype(bool)] if min(one[row], other[row]) >= 0]
    if not queries:
        raise ConfigError(
            f"there is no clip to tell recall_at_{k} of task {task!r} from: it takes clips with "
            f"{asked} and {searched} that match"
        )
    embeddings = answers.store.of(predictor)
    manifest = predictor.manifest
    items = {name: embeddings[name] for name in manifest.encoder_outputs(searched).values()}
    inputs = [each for each in manifest.graphs[FUSION].inputs if each.name != PRESENCE]
    empty = {each.name: zeros(each, 1) for each in inputs}
    presence = np.array([name in spec.between for name in manifest.presence])
    hits = []
    for count, row in enumerate(queries[:QUERIES], start=1):
        query = {
            name: embeddings[name][one[row]][None]
            for name in manifest.encoder_outputs(asked).values()
        }
        logits = pair_logits(task, {**empty, **query}, items, presence, predictor.fuse)
        hits.append(int(np.sum(logits >= logits[other[row]])) <= k)
        on_query(count)
    return np.array(hits)
