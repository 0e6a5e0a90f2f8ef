"""What TensorRT refuses late, or takes and computes otherwise: refused first, in our words.

Each rule is one that TensorRT-RTX was seen to follow (tests/rtx/test_refused.py). Two it does
not even complain of: a quantiser to uint8 is taken for one to int8, and one without a zero
point, which ONNX says is uint8, as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mmedge._optional import require
from mmedge.engines.graph import PlanGraph
from mmedge.errors import IncompatibleError

if TYPE_CHECKING:
    import onnx

__all__ = ["check_graph"]

_QUANTISERS = ("QuantizeLinear", "DequantizeLinear")
_REMEDY = {
    "calibrate": "Make a plan for it with: mmedge calibrate --target tensorrt",
    "cast": "Cast to float first, as mmedge's own front-ends do, and export again",
}


def check_graph(graph: PlanGraph) -> None:
    """Refuse a graph that TensorRT would not compute as it stands.

    Raises:
        IncompatibleError: the first thing that it would not, with the node's name.
    """
    for complaint, remedy in (*_quantisers(graph), *_int8_constants(graph), *_uint8(graph)):
        raise IncompatibleError(f"{graph.what}: {complaint}. {_REMEDY[remedy]}.")


def _quantisers(graph: PlanGraph) -> Iterator[tuple[str, str]]:
    for node in graph.nodes:
        if node.op_type in _QUANTISERS:
            for complaint in _quantiser(graph, node):
                yield f"{node.op_type} {node.name!r} {complaint}", "calibrate"


def _quantiser(graph: PlanGraph, node: onnx.NodeProto) -> Iterator[str]:
    """Say what is wrong with a Q or a DQ."""
    numpy_helper = require("onnx.numpy_helper", extra="tensorrt|rtx", why="an engine")
    _, scale, zero = (*node.input, "")[:3]
    kind = _kind(graph, node, zero)
    if kind == "int32" and node.op_type == "DequantizeLinear":
        yield "makes a bias of int32, and TensorRT takes float biases only"
    elif kind != "int8":
        yield f"rounds to {kind}, and TensorRT computes in int8 only"
    if zero in graph.constants:
        if numpy_helper.to_array(graph.constants[zero]).any():
            yield "has a zero point that is not 0, and TensorRT quantises symmetrically only"
    elif zero:
        yield "has a zero point that is computed, and TensorRT needs it to be 0"
    if scale in graph.constants and not (numpy_helper.to_array(graph.constants[scale]) > 0).all():
        yield "has a scale that is not above 0"


def _kind(graph: PlanGraph, node: onnx.NodeProto, zero: str) -> str:
    """Give the integers that a Q makes, or a DQ takes, as far as the file says it."""
    import onnx

    for name in (zero, node.input[0]):
        if name in graph.constants and (name == zero or node.op_type == "DequantizeLinear"):
            return str(onnx.TensorProto.DataType.Name(graph.constants[name].data_type)).lower()
    if node.op_type == "QuantizeLinear":
        return "uint8"  # so ONNX says of one without a zero point
    maker = graph.makers.get(node.input[0])
    if maker is not None and maker.op_type == "QuantizeLinear":
        return _kind(graph, maker, (*maker.input, "")[2])
    return "int8"  # an input of the graph, or moved there: `_uint8` sees the others


def _int8_constants(graph: PlanGraph) -> Iterator[tuple[str, str]]:
    import onnx

    for name, each in graph.constants.items():
        if each.data_type == onnx.TensorProto.INT8 and each.dims:
            for node in graph.takers.get(name, ()):
                if node.op_type not in _QUANTISERS:
                    complaint = f"{node.op_type} {node.name!r} takes the int8 constant {name!r}"
                    yield f"{complaint}, and TensorRT lets only a DequantizeLinear", "calibrate"


def _uint8(graph: PlanGraph) -> Iterator[tuple[str, str]]:
    """Find bytes that are more than an input of a ``Cast``, or its output."""
    import onnx

    for value in graph.model.graph.input:
        if value.type.tensor_type.elem_type == onnx.TensorProto.UINT8:
            for node in graph.takers.get(value.name, ()):
                if node.op_type not in ("Cast", "Shape"):
                    complaint = f"{node.op_type} {node.name!r} takes the bytes of {value.name!r}"
                    yield f"{complaint}, and TensorRT lets only a Cast", "cast"
    for node in graph.nodes:
        if node.op_type == "Cast" and _casts_to_bytes(node):
            for taker in graph.takers.get(node.output[0], ()):
                complaint = f"{taker.op_type} {taker.name!r} takes the bytes of {node.name!r}"
                yield f"{complaint}, and TensorRT has bytes only as inputs and outputs", "cast"


def _casts_to_bytes(node: onnx.NodeProto) -> bool:
    import onnx

    return any(each.name == "to" and each.i == onnx.TensorProto.UINT8 for each in node.attribute)
