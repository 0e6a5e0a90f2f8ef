"""What an encoder remembers from one window to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field, StringConstraints

from mmedge.specs.base import Name, Spec
from mmedge.specs.tensors import GraphSpec, TensorSpec
from mmedge.specs.windowed import Windowed

__all__ = ["MAX_INIT", "StateSpec", "check_consecutive", "check_states"]

MAX_INIT = 65_536
"""Values of a state that does not begin the same everywhere; they stand in the manifest."""

TensorName = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class StateSpec(Spec):
    """A pair of a graph's tensors: what comes out goes in with the next window.

    Attributes:
        name: for people.
        input: the graph's input, float32 ``[B, ...]``.
        output: the graph's output of the same shape.
        init: what goes in with the first window: one number, or all of a row in order.
    """

    name: Name
    input: TensorName
    output: TensorName
    init: Annotated[tuple[float, ...], Field(strict=False, min_length=1, max_length=MAX_INIT)] = (
        0.0,
    )


def check_states(graph: GraphSpec, states: Sequence[StateSpec]) -> None:
    """Refuse states that the graph does not have.

    Raises:
        ValueError: a tensor is missing, named twice, or the two differ.
    """
    inputs = {spec.name: spec for spec in graph.inputs}
    outputs = {spec.name: spec for spec in graph.outputs}
    for what, named, there in (
        ("inputs", [each.input for each in states], inputs),
        ("outputs", [each.output for each in states], outputs),
    ):
        if len(set(named)) != len(named) or not set(named) < set(there):
            raise ValueError(f"{what} of states {named} must be some of {sorted(there)}, once each")
    for state in states:
        came, went = inputs[state.input], outputs[state.output]
        if came.shape != went.shape or (came.dtype, went.dtype) != ("float32", "float32"):
            raise ValueError(
                f"state {state.name} goes in as {_text(came)} and comes out as {_text(went)}; the "
                "same float32 was expected"
            )
        size = math.prod(n for n in came.shape[1:] if isinstance(n, int))
        if len(state.init) not in (1, size):
            raise ValueError(f"state {state.name} has {len(state.init)} init values; 1 or {size}")


def check_consecutive(modalities: Mapping[str, object], stateful: Sequence[str]) -> None:
    """Refuse a state where windows do not follow one another without gap or overlap.

    Raises:
        ValueError: another kind than sound or signal, or a hop that is not the window.
    """
    for name in stateful:
        modality = modalities[name]
        if not isinstance(modality, Windowed):
            raise ValueError(
                f"the encoder of {name!r} has a state, which needs windows that follow one "
                "another: a sound or a signal"
            )
        if modality.hop_ms != modality.window_ms:
            raise ValueError(
                f"the encoder of {name!r} has a state, so each sample must be seen once: hop_ms="
                f"{modality.hop_ms} has to be window_ms={modality.window_ms}"
            )


def _text(spec: TensorSpec) -> str:
    return f"{spec.dtype}({', '.join(map(str, spec.shape))})"
