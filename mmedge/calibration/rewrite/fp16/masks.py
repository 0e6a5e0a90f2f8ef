"""Masks of attention: constants like float32's minimum, which end in a softmax."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import NodeProto

from mmedge.calibration.graph import Graph
from mmedge.calibration.rewrite.fp16.numbers import MASKED, ROOM
from mmedge.calibration.rewrite.fp16.operators import MOVES
from mmedge.calibration.rewrite.fp16.origins import Origin

__all__ = ["fit_masks"]

_THROUGH = MOVES | {"Add", "Cast", "Min", "Mul"}


def fit_masks(graph: Graph, origins: Mapping[str, Origin]) -> frozenset[str]:
    """Put `MASKED` in place of finite numbers below FP16's range that only mask a softmax.

    A softmax gives 0 for both. Minus infinity stays: FP16 has it as well.

    Returns:
        The values between such a constant, or minus infinity, and its softmax: what they
        reach downwards is no data and needs no room.
    """
    masked: set[str] = set()
    for name in tuple(graph.constants):
        value = graph.constant(name)
        if value is None or value.dtype != np.float32 or not np.any(value < -ROOM):
            continue
        path = _to_softmax(graph, name, origins)
        if path is None:
            continue
        masked |= path
        fitting = np.where(np.isfinite(value), np.maximum(value, np.float32(MASKED)), value)
        graph.add_constant(name, fitting.astype(np.float32))
    return frozenset(masked)


def _to_softmax(graph: Graph, name: str, origins: Mapping[str, Origin]) -> set[str] | None:
    """Values from a constant to the softmaxes it ends in; ``None`` if it goes elsewhere too."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        value = waiting.pop()
        if value in found:
            continue
        found.add(value)
        takers = graph.consumers.get(value, ())
        if value in graph.outputs or not takers:
            return None
        for node in takers:
            if node.op_type == "Softmax":
                continue
            if node.op_type not in _THROUGH or not _only_masks(node, found, origins):
                return None
            waiting.extend(node.output)
    return found


def _only_masks(node: NodeProto, path: set[str], origins: Mapping[str, Origin]) -> bool:
    """Whether the mask stays one: a factor beside it must be logic, 0 or 1."""
    others = [each for each in node.input if each not in path]
    return node.op_type != "Mul" or all(origins[each] is Origin.LOGIC for each in others)
