"""What each modality contributes to a score, and whether two of them contradict.

The players are the modalities, the worth of a coalition is the winning score when only
its members are present. Up to 4 modalities the shares are Shapley values (L. S. Shapley,
"A value for n-person games", 1953), computed exactly from all ``2^M`` coalitions; beyond,
a share is what the score loses when that modality alone is left out.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mmedge.specs.presence import EXACT_UP_TO

__all__ = ["coalitions", "conflict", "shares"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@lru_cache
def coalitions(modalities: int) -> Bools:
    """Give the presence rows to ask the head for, bool ``[R, M]``.

    The full set first. Up to 4 modalities all ``2^M`` subsets; beyond, the full set, all
    but one, the single ones. The rows are not to be written to.
    """
    if modalities <= EXACT_UP_TO:
        return np.array(list(itertools.product((True, False), repeat=modalities)), dtype=bool)
    eye = np.eye(modalities, dtype=bool)
    return np.concatenate([np.ones((1, modalities), dtype=bool), ~eye, eye])


def shares(worth: Floats) -> Floats:
    """Give each modality's share.

    Args:
        worth: ``[R]`` scores for the rows of ``coalitions(M)``.

    Returns:
        ``[M]``; up to 4 modalities they sum to ``worth[full] - worth[nothing]``.
    """
    modalities = _players(len(worth))
    if modalities > EXACT_UP_TO:
        return np.asarray(worth[0] - worth[1 : 1 + modalities])
    # Row r of the product order is the subset whose complement's bits spell r.
    table = worth.reshape((2,) * modalities)
    result = np.zeros(modalities)
    for player in range(modalities):
        gains = np.take(table, 0, axis=player) - np.take(table, 1, axis=player)
        for others in itertools.product((0, 1), repeat=modalities - 1):
            size = others.count(0)  # index 0 is presence
            weight = math.factorial(size) * math.factorial(modalities - size - 1)
            result[player] += weight / math.factorial(modalities) * gains[others]
    return result


def conflict(alone: Floats) -> float:
    """Tell how firmly two modalities, each heard alone, back different labels.

    For a pair that prefers different labels it is the smaller of the two margins by which
    each prefers its own label to the other's: both have to be sure. The answer is the
    largest over all pairs, 0 where all prefer the same label.

    Args:
        alone: ``[P, K]`` probabilities of the present modalities, one at a time.
    """
    best = alone.argmax(axis=1)
    worst = 0.0
    for a, b in itertools.combinations(range(len(alone)), 2):
        margin_a = alone[a, best[a]] - alone[a, best[b]]
        margin_b = alone[b, best[b]] - alone[b, best[a]]
        worst = max(worst, float(min(margin_a, margin_b)))
    return worst


def _players(rows: int) -> int:
    # 2^M rows up to 4 modalities, 2M + 1 beyond, which is odd and never a power of two.
    return rows.bit_length() - 1 if rows & (rows - 1) == 0 else (rows - 1) // 2
