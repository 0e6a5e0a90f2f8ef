"""What goes into a graph and comes out of it: the same words for every backend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import ValidationError

from mmedge.errors import ArtefactError, ConfigError
from mmedge.manifest import first_complaint
from mmedge.runtime.backends import Arrays
from mmedge.specs import DType, GraphSpec, TensorSpec

__all__ = [
    "Wanted",
    "check_feeds",
    "check_results",
    "check_shapes",
    "fits",
    "graph_spec",
    "same_tensors",
    "tensor_spec",
    "wanted_of",
]

Wanted = Mapping[str, tuple[np.dtype[Any], tuple[int | str, ...]]]
"""Input -> its type, and its shape without the batch."""


def graph_spec(what: str, inputs: Iterable[TensorSpec], outputs: Iterable[TensorSpec]) -> GraphSpec:
    """Put inputs and outputs together; they may be made on the way, by `tensor_spec`.

    Raises:
        ArtefactError: no bundle holds such a graph.
    """
    try:
        return GraphSpec(inputs=tuple(inputs), outputs=tuple(outputs))
    except ValidationError as exc:
        raise ArtefactError(
            f"{what} has inputs or outputs that no bundle holds: {first_complaint(exc)}"
        ) from exc


def tensor_spec(
    what: str, name: str, shape: Sequence[Any], kind: str, kinds: Mapping[str, DType]
) -> TensorSpec:
    """Read one input or output as a backend tells of it.

    Args:
        what: the graph, for error messages.
        name: of the tensor.
        shape: what is no integer stands for a size that may vary.
        kind: the type of its elements, as the backend calls it.
        kinds: those that a bundle may hold, so called -> as a specification calls them.

    Raises:
        ArtefactError: no bundle holds such a tensor.
    """
    if kind not in kinds:
        raise ArtefactError(f"{what}: {name!r} has type {kind}, which no bundle holds")
    if shape and isinstance(shape[0], int):
        raise ArtefactError(
            f"{what}: {name!r} has shape {shape}: its batch is fixed. Export it again "
            "with a batch that may vary."
        )
    rest = [size for size in shape[1:] if isinstance(size, int)]
    if len(rest) != len(shape) - 1 or not shape:
        raise ArtefactError(f"{what}: {name!r} has shape {shape}; only the batch may be dynamic")
    return TensorSpec(name=name, dtype=kinds[kind], shape=("batch", *rest))


def same_tensors(one: GraphSpec, other: GraphSpec) -> bool:
    """Tell whether two graphs take and give the same; arrays go by name, so in any order."""
    return all(
        {each.name: each for each in mine} == {each.name: each for each in theirs}
        for mine, theirs in ((one.inputs, other.inputs), (one.outputs, other.outputs))
    )


def wanted_of(spec: GraphSpec) -> Wanted:
    """Give what `fits` compares with."""
    return {each.name: (np.dtype(each.dtype), each.shape[1:]) for each in spec.inputs}


def fits(feeds: Arrays, wanted: Wanted) -> bool:
    """Tell in a few microseconds whether `check_feeds` would find nothing."""
    if feeds.keys() != wanted.keys():
        return False
    batch = next(iter(feeds.values())).shape[:1]
    for name, (dtype, rest) in wanted.items():
        array = feeds[name]
        if array.dtype != dtype or array.shape != batch + rest:
            return False
    return batch not in ((), (0,))


def check_feeds(what: str, spec: GraphSpec, feeds: Arrays) -> None:
    """Refuse feeds that do not fit a graph's inputs, in words about the graph."""
    expected = {each.name: each for each in spec.inputs}
    if set(feeds) != set(expected):
        raise ConfigError(f"{what} takes the inputs {sorted(expected)}, but got {sorted(feeds)}")
    batches = {name: array.shape[:1] for name, array in feeds.items()}
    if len(set(batches.values())) != 1 or 0 in next(iter(batches.values())):
        raise ConfigError(f"{what}: the inputs' batches differ or are empty: {batches}")
    for name, array in feeds.items():
        want = expected[name]
        # Not by name: a float32 of the other byte order would be read as other numbers.
        if array.dtype != np.dtype(want.dtype) or array.shape[1:] != want.shape[1:]:
            raise ConfigError(
                f"{what}: input {name!r} is {array.dtype}{array.shape}, but the graph "
                f"expects {want.dtype}({', '.join(map(str, want.shape))})"
            )


def check_results(what: str, spec: GraphSpec, outputs: Arrays, batch: int) -> None:
    """Refuse outputs of another shape than a graph declares, such as one of a fixed batch."""
    check_shapes(what, spec, {name: array.shape for name, array in outputs.items()}, batch)


def check_shapes(
    what: str, spec: GraphSpec, shapes: Mapping[str, tuple[int, ...]], batch: int
) -> None:
    """Refuse as `check_results` does, where only the shapes are known yet."""
    for each in spec.outputs:
        shape = shapes[each.name]
        if shape != (batch, *each.shape[1:]):
            raise ArtefactError(
                f"{what} gives {each.name!r} the shape {shape} for a batch of {batch}, but "
                f"declares ({', '.join(map(str, each.shape))}). Export it again."
            )
