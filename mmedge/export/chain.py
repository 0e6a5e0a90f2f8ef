"""The chain of windows that an encoder with state is proven on."""

from __future__ import annotations

import numpy as np

from mmedge.export.encoders import EncoderGraph
from mmedge.export.reference import run_chain
from mmedge.export.samples import seeded_samples
from mmedge.proof.chains import Chain
from mmedge.runtime.preprocess import Preprocessor
from mmedge.specs import Modality

__all__ = ["seeded_chain"]

PROVEN = 200
SHIPPED = 16
SHIPPED_BYTES = 4 * 2**20
"""Of a chain's windows in a bundle; there are at least 4."""


def seeded_chain(
    graph: EncoderGraph, modality: Modality, prepare: Preprocessor, seed: int, shipped: bool
) -> Chain:
    """Walk seeded windows, with a reset in their middle.

    Args:
        graph: has a state.
        modality: what it sees.
        prepare: of that modality.
        seed: of the windows.
        shipped: a shorter one, which travels with the bundle.
    """
    raws = seeded_samples({graph.name: modality}, {}, SHIPPED if shipped else PROVEN, seed + 1)
    windows = [prepare(raw) for raw in raws[graph.name]]
    if shipped:
        size_bytes = sum(array.nbytes for array in windows[0].values())
        windows = windows[: max(4, min(SHIPPED, SHIPPED_BYTES // size_bytes))]
    inputs = {key: np.stack([window[key] for window in windows]) for key in windows[0]}
    return run_chain(graph.name, graph, inputs, len(windows) // 2)
