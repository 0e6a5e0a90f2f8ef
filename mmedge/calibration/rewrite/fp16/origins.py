"""What a value is made of: data, a mask's logic, or constants alone."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from onnx import NodeProto, TensorProto

from mmedge.calibration.graph import Graph
from mmedge.calibration.layers import KINDS, RECURRENT
from mmedge.calibration.rewrite.fp16.operators import LOOKUPS

__all__ = ["Origin", "origins_of"]

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)


class Origin(Enum):
    """What a value depends on."""

    CONSTANT = "constants alone"
    LOGIC = "masks, presence, lengths or positions, and no data"
    DATA = "what the model sees, hears or reads"


def origins_of(graph: Graph, types: Mapping[str, int]) -> Mapping[str, Origin]:
    """Tell of every value what it depends on.

    Data are inputs of floats or bytes, and what token ids look up in a table of floats. Ids,
    masks and presence by themselves are logic. The graph's nodes must be sorted.
    """
    data = (*_FLOATS, TensorProto.UINT8)
    found = {name: Origin.DATA if types[name] in data else Origin.LOGIC for name in graph.inputs}
    found.update(dict.fromkeys(graph.constants, Origin.CONSTANT))
    found[""] = Origin.CONSTANT
    for node in graph.nodes:
        origin = _of(node, types, found)
        found.update((output, origin) for output in node.output if output)
    return found


def _of(node: NodeProto, types: Mapping[str, int], found: Mapping[str, Origin]) -> Origin:
    inputs = [found[name] for name in node.input]
    if node.op_type in ("Shape", "Size"):
        return Origin.LOGIC
    if Origin.DATA in inputs:
        return Origin.DATA
    if Origin.LOGIC not in inputs:
        return Origin.CONSTANT
    looked_up = node.op_type in LOOKUPS and types.get(node.input[0]) in _FLOATS
    learned = node.op_type in KINDS + RECURRENT
    return Origin.DATA if looked_up or learned else Origin.LOGIC
