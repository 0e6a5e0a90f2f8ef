"""Pairs: what the fusion head says of one sample beside each of many others."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from mmedge.runtime.prediction import refuse_nan

__all__ = ["pair_logits"]

Arrays = Mapping[str, NDArray[np.generic]]
Fuse = Callable[[Arrays, NDArray[np.bool_]], Arrays]

_CALL_BYTES = 4 * 2**20
"""Embeddings per call of the head: tokens are large, and a row for each of many, too."""


def pair_logits(
    task: str, one: Arrays, many: Arrays, presence: NDArray[np.bool_], fuse: Fuse
) -> NDArray[np.float64]:
    """Ask the head about each pair.

    Args:
        task: a matching task.
        one: every input of the head -> ``[1, ...]``.
        many: the inputs of the other modality -> ``[N, ...]``; they take its place in ``one``.
        presence: bool ``[M]``, the same for all pairs.
        fuse: runs the head on a batch.

    Returns:
        Logits ``[N]``.

    Raises:
        ProofError: the head answers with NaN or infinity.
    """
    count = len(next(iter(many.values())))
    row_bytes = sum(array[:1].nbytes for array in {**one, **many}.values())
    rows = min(count, max(1, _CALL_BYTES // max(1, row_bytes)))
    repeated = {name: np.repeat(array, rows, 0) for name, array in one.items() if name not in many}
    logits = []
    for begin in range(0, count, rows):
        some = {name: array[begin : begin + rows] for name, array in many.items()}
        here = min(rows, count - begin)
        feeds = {**{name: array[:here] for name, array in repeated.items()}, **some}
        output = fuse(feeds, np.tile(presence, (here, 1)))[task]
        refuse_nan({task: output})
        logits.append(output[:, 0].astype(np.float64))
    return np.concatenate(logits)
