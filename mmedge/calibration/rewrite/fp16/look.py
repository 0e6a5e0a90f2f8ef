"""What the nodes of a graph are judged by before they become FP16."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mmedge.calibration.graph import Graph
from mmedge.calibration.layers import RECURRENT, shapes_of
from mmedge.calibration.lowering import Range
from mmedge.calibration.rewrite.fp16.numbers import ROOM
from mmedge.calibration.rewrite.fp16.operators import SUMS
from mmedge.calibration.rewrite.fp16.origins import Origin

__all__ = ["Look", "look_at"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a node is judged by.

    Attributes:
        graph: where it stands.
        types: value -> its element type.
        origins: value -> what it is made of.
        ranges: value -> where it lies, as far as that is known.
        masks: values that a mask passes through on its way to a softmax.
        shapes: value -> its shape for a batch of 1, for what is summed up.
    """

    graph: Graph
    types: Mapping[str, int]
    origins: Mapping[str, Origin]
    ranges: Mapping[str, Range]
    masks: frozenset[str]
    shapes: Mapping[str, tuple[int, ...]]

    def range_of(self, value: str) -> Range | None:
        """Where the values that count lie: of a mask, those above `ROOM`'s lower end."""
        found = self.ranges.get(value)
        if value not in self.masks:
            return found
        return Range(max(found.low, -ROOM), found.high) if found else Range(0, 0)


def look_at(
    graph: Graph,
    types: Mapping[str, int],
    origins: Mapping[str, Origin],
    ranges: Mapping[str, Range],
    masks: frozenset[str],
) -> Look:
    """Gather what nodes are judged by.

    Raises:
        ArtefactError: the graph does not run.
    """
    sums = [
        name
        for node in graph.nodes
        if node.op_type in SUMS + RECURRENT
        for name in (node.input[0], node.output[0])
        if name
    ]
    return Look(
        graph=graph,
        types=types,
        origins=origins,
        ranges=ranges,
        masks=masks,
        shapes=shapes_of(graph, sums) if sums else {},
    )
