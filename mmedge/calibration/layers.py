"""Layers: the nodes of a graph that multiply and accumulate, and how much each does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from mmedge._optional import require
from mmedge.calibration.graph import Graph
from mmedge.errors import ArtefactError

__all__ = ["KINDS", "RECURRENT", "Layer", "find_layers", "moving_values", "shapes_of"]

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
        weight: the constant that it multiplies by, as it stands in the file or made from what
            does (a ``DequantizeLinear`` of training); empty for a product of activations.
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
        ArtefactError: the graph does not run.
    """
    moving = moving_values(graph)
    skipped = graph.front_end()
    nodes = [
        node
        for node in graph.nodes
        if node.op_type in KINDS + RECURRENT
        and node.name not in skipped
        and node.output[0] in moving
    ]
    shapes = shapes_of(graph, [n for node in nodes for n in (*node.input[:3], node.output[0]) if n])
    return tuple(_layer(node, moving, shapes) for node in nodes)


def moving_values(graph: Graph) -> frozenset[str]:
    """Give the values that depend on the graph's inputs; all others are constants."""
    found = set(graph.inputs)
    waiting = list(found)
    while waiting:
        for node in graph.consumers.get(waiting.pop(), ()):
            made = set(node.output) - found
            found |= made
            waiting.extend(made)
    return frozenset(found)


def shapes_of(graph: Graph, values: Iterable[str]) -> Mapping[str, tuple[int, ...]]:
    """Give the shapes of some values for a batch of 1.

    They are asked of a run on zeros: inference alone loses sizes in ``Range`` and the like,
    which torch writes for positions and masks.

    Raises:
        ArtefactError: the graph does not run.
    """
    ort = require("onnxruntime", extra="cpu|gpu", why="calibration")
    wanted = list(dict.fromkeys(values))
    if not wanted:
        return {}
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in wanted)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(model.SerializeToString(), options)
        found = session.run(wanted, {each.name: _zeros(each) for each in model.graph.input})
    except Exception as exc:  # its exceptions have no common base but this
        raise ArtefactError(f"the graph {model.graph.name!r} does not run: {exc}") from exc
    return {name: array.shape for name, array in zip(wanted, found, strict=True)}


def _zeros(value: onnx.ValueInfoProto) -> NDArray[np.generic]:
    tensor = value.type.tensor_type
    shape = (1, *(each.dim_value for each in tensor.shape.dim[1:]))
    return np.zeros(shape, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))


def _layer(
    node: onnx.NodeProto, moving: frozenset[str], shapes: Mapping[str, tuple[int, ...]]
) -> Layer:
    factors = list(node.input[: 1 if node.op_type in RECURRENT else 2])
    weight = next((name for name in reversed(factors) if name not in moving), "")
    return Layer(
        name=node.name,
        kind=node.op_type,
        activations=tuple(dict.fromkeys(name for name in factors if name in moving)),
        weight=weight,
        output=node.output[0],
        macs=_macs(node, shapes),
    )


def _macs(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Products in one sample: outputs times what each sums over."""
    if node.op_type in RECURRENT:  # input [T, B, I], weights [D, gates, I] and [D, gates, H]
        sequence, *weights = (shapes[name] for name in node.input[:3])
        return sequence[0] * sum(map(math.prod, weights))
    output = math.prod(shapes[node.output[0]])
    left, right = (shapes[name] for name in node.input[:2])
    if node.op_type == "Conv":
        return output * math.prod(right[1:])  # [out, in / groups, *kernel]
    if node.op_type == "ConvTranspose":
        return math.prod(left) * math.prod(right[1:])
    if node.op_type == "Gemm":
        transposed = next((a.i for a in node.attribute if a.name == "transA"), 0)
        return output * (left[0] if transposed else left[1])
    return output * left[-1]
