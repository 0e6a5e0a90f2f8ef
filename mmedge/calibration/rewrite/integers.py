"""Which values stand in integers between the layers of a CPU plan, and in which range."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from mmedge.calibration.graph import Graph
from mmedge.calibration.lowering import Range

__all__ = ["Integer", "find_integers", "joined_values", "obstacle_behind"]

MOVES = ("Flatten", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""These give the integers that they take, in the same scale."""
JOINS = ("Add", "AveragePool", "Concat", "GlobalAveragePool")
"""ONNX Runtime has these for integers, each input and the output in its own scale."""


@dataclass(frozen=True, slots=True)
class Integer:
    """A value that all who take it get as integers.

    Attributes:
        name: the value.
        range: what its scale is made from.
        source: the value that is quantised; another one where ``clipped`` is left out.
        clipped: the Relu or Clip that saturation does as well.
    """

    name: str
    range: Range
    source: str
    clipped: onnx.NodeProto | None = None


def find_integers(
    graph: Graph, chosen: Sequence[onnx.NodeProto], ranges: Mapping[str, Range]
) -> tuple[Integer, ...]:
    """Find what convolutions give, and what is moved or joined to reach the next layer.

    Args:
        graph: before any layer is lowered.
        chosen: the layers that are to compute in INT8; of convolutions, those without an
            `obstacle_behind`.
        ranges: what was observed.
    """
    names = {node.name for node in chosen}
    found: dict[str, Integer] = {}
    for node in graph.nodes:
        made: Integer | None = None
        if node.op_type == "Conv" and node.name in names:
            made = _behind(graph, node, ranges)
        elif node.op_type in MOVES and node.input[0] in found:
            made = Integer(node.output[0], found[node.input[0]].range, node.output[0])
        elif node.op_type in JOINS and all(name in found for name in node.input):
            made = _behind(graph, node, ranges)
        if made is not None and (node.name in names or _reaches(graph, made.name, names)):
            found[made.name] = made
    return tuple(found.values())


def joined_values(graph: Graph) -> tuple[str, ...]:
    """Give the values whose ranges help a CPU plan beside those that layers take and give.

    They are what joins make of convolutions: with a range a residual add stays in integers.
    """
    skipped = graph.front_end()
    integers: set[str] = set()
    found = []
    for node in graph.nodes:
        joins = node.op_type in JOINS and integers.issuperset(node.input)
        moves = node.op_type in MOVES and node.input[0] in integers
        if node.name not in skipped and (node.op_type == "Conv" or joins or moves):
            clip = _clip_behind(graph, node.output[0])
            name = node.output[0] if clip is None else clip.output[0]
            integers.add(name)
            if joins and name not in graph.outputs:
                found.append(name)
    return tuple(found)


def obstacle_behind(graph: Graph, conv: onnx.NodeProto, ranges: Mapping[str, Range]) -> str:
    """Say why what a convolution gives cannot stand in integers; empty if it can."""
    made = _behind(graph, conv, ranges)
    if made is None:
        return f"no range of {conv.output[0]} was observed"
    if made.name in graph.outputs:
        return "it gives the graph's output, and its INT8 form would give integers"
    return "" if made.range.largest > 0 else f"{made.name} was never anything but zero"


def _behind(graph: Graph, node: onnx.NodeProto, ranges: Mapping[str, Range]) -> Integer | None:
    """Give the output of a node, or of the Relu behind it; ``None`` if its range is unknown."""
    value = node.output[0]
    clip = _clip_behind(graph, value)
    name = value if clip is None else clip.output[0]
    seen = ranges.get(name) or ranges.get(value) or _moved_range(graph, name, ranges)
    if seen is None:
        return None
    if clip is not None:
        low, high = _bounds(graph, clip) or (-math.inf, math.inf)
        seen = Range(max(seen.low, low), min(seen.high, high))
    return Integer(name, seen, value, clip)


def _moved_range(graph: Graph, name: str, ranges: Mapping[str, Range]) -> Range | None:
    """Give the range of what a value becomes where it is only moved."""
    for taker in graph.consumers.get(name, ()):
        if taker.op_type in MOVES:
            found = ranges.get(taker.output[0]) or _moved_range(graph, taker.output[0], ranges)
            if found is not None:
                return found
    return None


def _reaches(graph: Graph, value: str, layers: set[str]) -> bool:
    """Whether an INT8 layer takes the value, moved or joined on the way or not."""
    if value in graph.outputs:
        return False
    for taker in graph.consumers.get(value, ()):
        if taker.name in layers:
            return True
        if taker.op_type in MOVES + JOINS:
            clip = _clip_behind(graph, taker.output[0])
            end = taker.output[0] if clip is None else clip.output[0]
            if _reaches(graph, end, layers):
                return True
    return False


def _clip_behind(graph: Graph, value: str) -> onnx.NodeProto | None:
    """Give the Relu or Clip that is alone in taking a value, if 0 lies within its bounds."""
    takers = graph.consumers.get(value, [])
    if len(takers) != 1 or value in graph.outputs or takers[0].op_type not in ("Clip", "Relu"):
        return None
    return takers[0] if _bounds(graph, takers[0]) is not None else None


def _bounds(graph: Graph, clip: onnx.NodeProto) -> tuple[float, float] | None:
    """Give where a Relu or Clip cuts; ``None`` where it is not known, or 0 is cut away."""
    if clip.op_type == "Relu":
        return 0.0, math.inf
    found = [-math.inf, math.inf]
    for index, name in enumerate(clip.input[1:3]):
        if name:
            constant = graph.constant(name)
            if constant is None:
                return None
            found[index] = float(constant.reshape(()))
    return (found[0], found[1]) if found[0] <= 0 <= found[1] else None
