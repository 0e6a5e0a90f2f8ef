"""Encoders with state: a chain of windows, and what the reference remembered on its way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmedge.manifest import FUSION, TOKENS_MASK, Manifest, Tolerance
from mmedge.proof.parity import Finding, compare

if TYPE_CHECKING:
    from mmedge.runtime.predictor import Predictor

__all__ = ["Chain", "chain_findings", "chain_fits"]

Array = NDArray[np.generic]
Arrays = Mapping[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Consecutive windows of one stream, with one reset among them.

    Attributes:
        inputs: graph input -> ``[T, ...]``.
        embeddings: fusion input -> ``[T, ...]``, what the encoder gave.
        states: state -> ``[T, ...]``, what it remembered after each window.
        reset: the window before which it began anew.
    """

    inputs: Arrays
    embeddings: Arrays
    states: Arrays
    reset: int

    def __len__(self) -> int:
        """How many windows there are."""
        return len(next(iter(self.inputs.values())))


def chain_fits(chain: Chain, name: str, manifest: Manifest) -> bool:
    """Tell whether all arrays are there, in the types and shapes that the graph has."""
    graph = manifest.graphs[name]
    fused = {spec.name: spec for spec in manifest.graphs[FUSION].inputs}
    states = {s.name: s.input for s in manifest.states[name]}
    specs = {spec.name: spec for spec in graph.inputs}
    wanted = (
        {spec.name: spec for spec in manifest.encoder_inputs(name)},
        {key: fused[key] for key in manifest.encoder_outputs(name).values()},
        {key: specs[tensor] for key, tensor in states.items()},
    )
    if not chain.inputs or not 0 < chain.reset < len(chain):
        return False
    return all(
        {key: (array.dtype, array.shape) for key, array in arrays.items()}
        == {key: (np.dtype(s.dtype), (len(chain), *s.shape[1:])) for key, s in want.items()}
        for arrays, want in zip((chain.inputs, chain.embeddings, chain.states), wanted, strict=True)
    )


def chain_findings(
    predictor: Predictor,
    name: str,
    chain: Chain,
    tolerance: Tolerance,
    batches: tuple[int, ...],
) -> Iterator[Finding]:
    """Walk a chain as a stream is walked; then every step by itself, at several batches.

    The walk shows what adds up; the steps begin from what the reference remembered, so that
    rows of one batch hold different states.
    """
    embeddings, states = _walk(predictor, name, chain)
    for point, reference, came in _pairs(f"{name}/chain", chain, embeddings, states):
        yield compare(point, reference, came, tolerance, batch=1)
    for batch in batches:
        embeddings, states = _steps(predictor, name, chain, batch)
        for point, reference, came in _pairs(f"{name}/step", chain, embeddings, states):
            yield compare(point, reference, came, tolerance, batch=batch)


def _walk(predictor: Predictor, name: str, chain: Chain) -> tuple[Arrays, Arrays]:
    state = predictor.stream(name)
    made, kept = [], []
    for step in range(len(chain)):
        if step == chain.reset:
            state.reset()
        window = {key: array[step : step + 1] for key, array in chain.inputs.items()}
        made.append(predictor.encode(name, window, state=state))
        kept.append(state.arrays)
    return _join(made, len(chain)), _join(kept, len(chain))


def _steps(predictor: Predictor, name: str, chain: Chain, batch: int) -> tuple[Arrays, Arrays]:
    initial = predictor.stream(name).arrays
    before = {key: np.concatenate([initial[key], a[:-1]]) for key, a in chain.states.items()}
    for key, array in initial.items():
        before[key][chain.reset] = array[0]
    made, kept = [], []
    for begin in range(0, len(chain), batch):
        rows = np.arange(begin, begin + batch) % len(chain)
        state = predictor.stream(name, batch)
        state.restore({key: array[rows] for key, array in before.items()})
        windows = {key: array[rows] for key, array in chain.inputs.items()}
        made.append(predictor.encode(name, windows, state=state))
        kept.append(state.arrays)
    return _join(made, len(chain)), _join(kept, len(chain))


def _join(parts: list[dict[str, Array]], count: int) -> Arrays:
    return {key: np.concatenate([part[key] for part in parts])[:count] for key in parts[0]}


def _pairs(
    point: str, chain: Chain, embeddings: Arrays, states: Arrays
) -> Iterator[tuple[str, Array, Array]]:
    for key, reference in chain.embeddings.items():
        mask = f" {TOKENS_MASK}" if key.endswith("_mask") else ""
        yield f"{point}{mask}", reference, embeddings[key]
    for key, reference in chain.states.items():
        yield f"{point} {key}", reference, states[key]
