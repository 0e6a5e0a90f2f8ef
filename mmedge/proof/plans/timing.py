"""Latency of several plans, side by side: interleaved rounds, warm, one sample."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mmedge.manifest import FUSION, PRESENCE
from mmedge.proof.data import Prepared
from mmedge.proof.turns import rounds_of
from mmedge.runtime.embedding import zeros
from mmedge.runtime.predictor import Predictor

__all__ = ["Times", "time_plans"]

Array = NDArray[np.generic]
Times = dict[str, NDArray[np.float64]]
"""Graph -> milliseconds, round by round."""

ROUNDS = 31
LEAST_ROUNDS = 15
ENOUGH_S = 10.0


def time_plans(predictors: Mapping[str, Predictor], prepared: Prepared) -> dict[str, Times]:
    """Time every graph of every plan on the first input of each modality.

    The plans take turns: 31 rounds, or, after ten seconds, no more than 15.

    Args:
        predictors: open plans by name.
        prepared: samples; a modality that none of them has is not timed.
    """
    inputs = {
        name: next(next(prepared.walks(name, np.array([0]), 1))[1])
        for name in prepared.modalities
        if prepared.unique(name)
    }
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in predictors}
    for _, names in rounds_of(taken, rounds=ROUNDS, least=LEAST_ROUNDS, most_s=ENOUGH_S):
        for name in names:
            taken[name].append(_run(predictors[name], inputs))
    return {
        name: {graph: np.array([each[graph] for each in rounds[1:]]) for graph in rounds[0]}
        for name, rounds in taken.items()
    }


def _run(predictor: Predictor, inputs: Mapping[str, Mapping[str, Array]]) -> dict[str, float]:
    """Milliseconds of each graph."""
    manifest, took = predictor.manifest, {}
    fused = [spec for spec in manifest.graphs[FUSION].inputs if spec.name != PRESENCE]
    embeddings = {spec.name: zeros(spec, 1) for spec in fused}
    for modality, arrays in inputs.items():
        state = predictor.stream(modality)
        begin_ns = time.perf_counter_ns()
        made = predictor.encode(modality, arrays, state=state)
        took[modality] = (time.perf_counter_ns() - begin_ns) / 1e6
        embeddings |= made
    presence = np.array([[name in inputs for name in manifest.presence]])
    begin_ns = time.perf_counter_ns()
    predictor.fuse(embeddings, presence)
    took[FUSION] = (time.perf_counter_ns() - begin_ns) / 1e6
    return took
