"""Which modalities are present: the rows that a proof goes through."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from mmedge.runtime.temperatures import row_name

__all__ = ["presence_rows", "row_name"]

ALL_UP_TO = 6
SEEDED = 32


def presence_rows(names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Give the subsets of modalities that are proven, as bool ``[R, M]``.

    All of them, the empty one last, up to 6 modalities; beyond that the full set, the
    single ones, all but one, 32 seeded others, and the empty set.
    """
    count = len(names)
    if count <= ALL_UP_TO:
        rows = np.array(list(itertools.product((True, False), repeat=count)), dtype=bool)
        order = np.argsort(-rows.sum(1), kind="stable")
        return rows[order]
    eye = np.eye(count, dtype=bool)
    full = np.ones((1, count), dtype=bool)
    drawn = np.random.default_rng(0).random((SEEDED, count)) < 0.5
    rows = np.concatenate([full, ~eye, drawn, eye, ~full])
    _, first = np.unique(rows, axis=0, return_index=True)
    return rows[np.sort(first)]
