"""Element types in a graph, and what of a node is typed alike, by ONNX's own schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

import onnx
from onnx import TensorProto

from mmedge.calibration.graph import Graph
from mmedge.errors import ArtefactError
from mmedge.operators import OPSET

__all__ = ["float_inputs", "float_outputs", "types_of"]


def types_of(graph: Graph) -> Mapping[str, int]:
    """Give the element type of every value, as `onnx.TensorProto` numbers them.

    Raises:
        ArtefactError: they cannot be inferred.
    """
    try:
        inferred = onnx.shape_inference.infer_shapes(graph.model, strict_mode=True).graph
    except Exception as exc:  # its exceptions have no common base but this
        raise ArtefactError(
            f"the types of {graph.model.graph.name!r} cannot be inferred: {exc}"
        ) from exc
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    types = {each.name: each.type.tensor_type.elem_type for each in values}
    return {**types, **{name: each.data_type for name, each in graph.constants.items()}}


def float_inputs(node: onnx.NodeProto, types: Mapping[str, int]) -> Iterator[tuple[int, str]]:
    """Inputs, by index and name, that are float32 and become FP16 when the node does."""
    for index, name in enumerate(node.input):
        if types.get(name) == TensorProto.FLOAT and _follows(node.op_type, index, True):
            yield index, name


def float_outputs(node: onnx.NodeProto, types: Mapping[str, int]) -> Iterator[tuple[int, str]]:
    """Outputs, by index and name, that are float32 and become FP16 when the node does."""
    for index, name in enumerate(node.output):
        if types.get(name) == TensorProto.FLOAT and _follows(node.op_type, index, False):
            yield index, name


@cache
def _follows(op: str, index: int, incoming: bool) -> bool:
    """Whether this input or output has a type parameter that may be FP16."""
    schema = onnx.defs.get_schema(op, OPSET, "")
    formal = schema.inputs if incoming else schema.outputs
    declared = formal[min(index, len(formal) - 1)].type_str
    return any(
        each.type_param_str == declared and "tensor(float16)" in each.allowed_type_strs
        for each in schema.type_constraints
    )
