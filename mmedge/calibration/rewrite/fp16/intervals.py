"""Ranges of values that nobody observed, from the ranges of what they are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from mmedge.calibration.graph import Graph
from mmedge.calibration.lowering import Range
from mmedge.calibration.rewrite.fp16.operators import MOVES

__all__ = ["with_derived"]

_WITHIN = frozenset({"GlobalMaxPool", "MaxPool", "ReduceMax", "ReduceMin", "Relu"})
_BOUNDED = {
    "Erf": Range(-1, 1),
    "HardSigmoid": Range(0, 1),
    "Sigmoid": Range(0, 1),
    "Softmax": Range(0, 1),
    "Tanh": Range(-1, 1),
}


def with_derived(graph: Graph, seen: Mapping[str, Range]) -> Mapping[str, Range]:
    """Add to what was seen: constants, and what follows from the rest by interval arithmetic.

    Q/DQ nodes, migrated scales and corrected biases stand in graphs that nobody has run yet.
    The graph's nodes must be sorted.
    """
    known: dict[str, Range] = {}
    for name in graph.constants:
        value = graph.constant(name)
        if value is not None and value.dtype == np.float32:
            known[name] = _of(value)
    known.update(seen)
    for node in graph.nodes:
        if node.output[0] not in known:
            found = _before_offset(graph, node, known) or _derive(graph, node, known)
            known.update((output, found) for output in node.output if output and found)
    return known


def _before_offset(graph: Graph, node: onnx.NodeProto, known: Mapping[str, Range]) -> Range | None:
    """Give where a value lies from what is known of it once a constant has been added."""
    takers = graph.consumers.get(node.output[0], ())
    if len(takers) != 1 or takers[0].op_type != "Add" or takers[0].output[0] not in known:
        return None
    offsets = [name for name in takers[0].input if name in graph.constants]
    if not offsets or node.output[0] in graph.outputs:
        return None
    after, offset = known[takers[0].output[0]], known[offsets[0]]
    return Range(min(0.0, after.low - offset.high), max(0.0, after.high - offset.low))


def _of(value: NDArray[Any]) -> Range:
    finite = value[np.isfinite(value)].astype(np.float64)
    parts = np.abs(finite[finite != 0])
    return Range(
        float(np.min(finite, initial=0)),
        float(np.max(finite, initial=0)),
        float(np.min(parts)) if parts.size else 0.0,
    )


def _derive(graph: Graph, node: onnx.NodeProto, known: Mapping[str, Range]) -> Range | None:
    if node.op_type == "DequantizeLinear":
        return _quantised(graph, node)
    data = [name for name in _data(node) if name]
    ranges = [known[name] for name in data if name in known]
    if not ranges or len(ranges) < len(data):
        return _BOUNDED.get(node.op_type)
    if node.op_type in MOVES | _WITHIN:
        return _hull(ranges, least=node.op_type in MOVES)
    if node.op_type in _PAIRS and len(ranges) == 2:
        corners = _PAIRS[node.op_type](*ranges)
        return Range(min(0.0, *corners), max(0.0, *corners))
    return _BOUNDED.get(node.op_type)


def _data(node: onnx.NodeProto) -> tuple[str, ...]:
    """Inputs whose values come out again."""
    if node.op_type == "Concat":
        return tuple(node.input)
    if node.op_type == "Where":
        return tuple(node.input[1:])
    if node.op_type in ("ScatterElements", "ScatterND"):
        return node.input[0], node.input[2]
    if node.op_type == "Pad":
        return tuple(node.input[index] for index in (0, 2) if index < len(node.input))
    return tuple(node.input[: 2 if node.op_type in _PAIRS else 1])


def _hull(ranges: list[Range], *, least: bool) -> Range:
    return Range(
        min(each.low for each in ranges),
        max(each.high for each in ranges),
        min(each.least for each in ranges) if least else 0.0,
    )


def _quantised(graph: Graph, node: onnx.NodeProto) -> Range | None:
    scale = graph.constant(node.input[1])
    if scale is None:
        return None
    largest = float(np.max(scale.astype(np.float64)))
    return Range(-128 * largest, 127 * largest, float(np.min(scale.astype(np.float64))))


def _products(one: Range, other: Range) -> list[float]:
    return [a * b for a in (one.low, one.high) for b in (other.low, other.high)]


_PAIRS: Mapping[str, Callable[[Range, Range], list[float]]] = {
    "Add": lambda one, other: [one.low + other.low, one.high + other.high],
    "Sub": lambda one, other: [one.low - other.high, one.high - other.low],
    "Mul": _products,
}
