"""Layers: the nodes of a graph that multiply and accumulate, and how much each does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from mmedge.calibration.graph import Graph
from mmedge.errors import ArtefactError

__all__ = ["KINDS", "RECURRENT", "Layer", "find_layers", "shapes_of"]

KINDS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
RECURRENT = ("LSTM", "GRU", "RNN")
"""These multiply as well, and are counted, but no rewrite lowers them to INT8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A node that multiplies and accumulates.

    Attributes:
        name: the node's.
        kind: its operator, one of `KINDS` or `RECURRENT`.
        activations: the values that it takes which depend on the input: one, or two for a
            product of activations as in attention.
        weight: the constant that it multiplies by; empty for a product of activations.
        output: the value that it makes.
        macs: multiply-accumulates for one sample.
    """

    name: str
    kind: str
    activations: tuple[str, ...]
    weight: str
    output: str
    macs: int


def find_layers(graph: Graph) -> tuple[Layer, ...]:
    """Find the layers behind the front-end, in the order of the graph.

    Raises:
        ArtefactError: the graph's shapes cannot be inferred.
    """
    shapes = shapes_of(graph)
    skipped = graph.front_end()
    return tuple(
        _layer(graph, node, shapes)
        for node in graph.nodes
        if node.op_type in KINDS + RECURRENT
        and node.name not in skipped
        and not _fixed(graph, node)
    )


def shapes_of(graph: Graph) -> Mapping[str, tuple[int, ...]]:
    """Give the shape of every value for a batch of 1.

    Raises:
        ArtefactError: they cannot be inferred.
    """
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_value = 1
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as exc:  # its exceptions have no common base but this
        raise ArtefactError(
            f"the shapes of {model.graph.name!r} cannot be inferred: {exc}"
        ) from exc
    values = (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output)
    shapes = {
        each.name: tuple(d.dim_value for d in each.type.tensor_type.shape.dim) for each in values
    }
    return {**shapes, **{name: tuple(each.dims) for name, each in graph.constants.items()}}


def _fixed(graph: Graph, node: onnx.NodeProto) -> bool:
    """Whether nothing that the node takes depends on the graph's inputs."""
    return all(name in graph.constants for name in node.input if name)


def _layer(graph: Graph, node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> Layer:
    factors = list(node.input[: 1 if node.op_type in RECURRENT else 2])
    weight = next((name for name in reversed(factors) if name in graph.constants), "")
    activations = tuple(dict.fromkeys(name for name in factors if name != weight))
    return Layer(
        name=node.name,
        kind=node.op_type,
        activations=activations,
        weight=weight,
        output=node.output[0],
        macs=_macs(node, shapes),
    )


def _macs(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Products in one sample: outputs times what each sums over."""
    if node.op_type in RECURRENT:  # input [T, B, I], weights [D, gates, I] and [D, gates, H]
        sequence, *weights = (shapes.get(name, (0,)) for name in node.input[:3])
        return sequence[0] * sum(map(math.prod, weights))
    output = math.prod(shapes.get(node.output[0], (0,)))
    left, right = (shapes.get(name, ()) for name in node.input[:2])
    if node.op_type == "Conv":
        return output * math.prod(right[1:])  # [out, in / groups, *kernel]
    if node.op_type == "ConvTranspose":
        return math.prod(left) * math.prod(right[1:])
    if node.op_type == "Gemm":
        transposed = next((a.i for a in node.attribute if a.name == "transA"), 0)
        return output * (left[0] if transposed else left[1]) if len(left) == 2 else 0
    return output * left[-1] if left else 0
