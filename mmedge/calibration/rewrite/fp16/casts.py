"""Writes FP16 into a graph: constants, types, and one Cast per value where types meet."""

from __future__ import annotations

from onnx import NodeProto, TensorProto

from mmedge.calibration.graph import Graph
from mmedge.calibration.rewrite.fp16.chosen import scale_fits
from mmedge.calibration.rewrite.fp16.look import Look
from mmedge.calibration.rewrite.fp16.numbers import halve
from mmedge.calibration.rewrite.fp16.operators import UNTYPED
from mmedge.calibration.rewrite.fp16.typed import float_inputs, float_outputs

__all__ = ["write"]


def write(look: Look, half: frozenset[str]) -> None:
    """Let the nodes of ``half`` compute in FP16, and cast where a value meets another type."""
    graph = look.graph
    nodes = tuple(graph.nodes)
    values = {
        value for node in nodes if node.name in half for _, value in float_outputs(node, look.types)
    }
    outputs = {value: f"{value}.fp16" for value in graph.outputs if value in values}
    for value, name in outputs.items():
        graph.rename(value, name)
    values |= set(outputs.values())
    types = {**look.types, **dict.fromkeys(outputs.values(), int(TensorProto.FLOAT))}
    for node in nodes:
        if node.name in half:
            _lower(graph, node, types, values)
        elif _follows(node, look, values):
            graph.feed(node, 1, _constant(graph, node.input[1]))
        elif node.op_type not in UNTYPED:
            _lift(graph, node, values)
    for value, name in outputs.items():
        if value not in graph.producers:
            _cast(graph, name, value, TensorProto.FLOAT)


def _follows(node: NodeProto, look: Look, values: set[str]) -> bool:
    """Whether it makes INT8 of FP16, with a scale in FP16."""
    return node.op_type == "QuantizeLinear" and node.input[0] in values and scale_fits(node, look)


def _lower(graph: Graph, node: NodeProto, types: dict[str, int], values: set[str]) -> None:
    if node.op_type == "Cast":
        next(each for each in node.attribute if each.name == "to").i = TensorProto.FLOAT16
        return
    for index, name in tuple(float_inputs(node, types)):
        if name in graph.constants:
            graph.feed(node, index, _constant(graph, name))
        elif name not in values:
            cast = f"{name}.fp16"
            if cast not in graph.producers:
                _cast(graph, name, cast, TensorProto.FLOAT16)
            graph.feed(node, index, cast)


def _lift(graph: Graph, node: NodeProto, values: set[str]) -> None:
    for index, name in enumerate(node.input):
        if name in values:
            # A graph's output has given its name away and gets it back.
            cast = name.removesuffix(".fp16") if name.endswith(".fp16") else f"{name}.fp32"
            if cast not in graph.producers:
                _cast(graph, name, cast, TensorProto.FLOAT)
            graph.feed(node, index, cast)


def _constant(graph: Graph, name: str) -> str:
    made = f"{name}.fp16"
    value = graph.constant(name)
    if made not in graph.constants and value is not None:
        graph.add_constant(made, halve(value))
    return made


def _cast(graph: Graph, value: str, name: str, to: int) -> None:
    graph.add("Cast", [value], name, name=f"{name}/Cast", to=to)
