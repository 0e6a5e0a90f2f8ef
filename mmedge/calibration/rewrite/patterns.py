"""Where a graph's layers belong together: residual adds, and the two products of attention."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

import onnx

from mmedge.calibration.graph import Graph
from mmedge.calibration.layers import KINDS, RECURRENT

__all__ = ["attentions", "skip_branches"]


def skip_branches(graph: Graph, layers: Collection[str]) -> Iterator[tuple[onnx.NodeProto, int]]:
    """Find what comes around convolutions: an ``Add``, and which of its inputs skips them.

    TensorRT adds inside the convolution that ends the other branch, if what is added is int8
    as well. Where both branches end with one, as around a change of size, the later of the
    graph does the adding.

    Args:
        graph: its nodes stand in topological order.
        layers: names of the convolutions that count.
    """
    place = {node.name: index for index, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        if node.op_type == "Add" and not any(name in graph.constants for name in node.input):
            ends = {}
            for index, name in enumerate(node.input):
                maker = graph.producers.get(name)
                if maker is not None and maker.name in layers and len(graph.consumers[name]) == 1:
                    ends[index] = place[maker.name]
            if ends:
                yield node, 1 - max(ends, key=ends.__getitem__)


def attentions(graph: Graph, moving: Collection[str]) -> Iterator[frozenset[str]]:
    """Find the products of each attention: of queries and keys, and of weights and values.

    They are products of activations with a ``Softmax`` between them.

    Yields:
        the names of both (or more, where scores are a sum of products).
    """

    def makers(node: onnx.NodeProto) -> Iterable[onnx.NodeProto]:
        return (graph.producers[name] for name in node.input if name in graph.producers)

    def takers(node: onnx.NodeProto) -> Iterable[onnx.NodeProto]:
        return (each for name in node.output for each in graph.consumers.get(name, ()))

    for node in graph.nodes:
        if node.op_type == "Softmax":
            before, after = (
                frozenset(
                    each.name
                    for each in _nearest_layers(node, step)
                    if each.op_type == "MatMul" and all(name in moving for name in each.input)
                )
                for step in (makers, takers)
            )
            if before and after:
                yield before | after


def _nearest_layers(
    node: onnx.NodeProto, step: Callable[[onnx.NodeProto], Iterable[onnx.NodeProto]]
) -> Iterator[onnx.NodeProto]:
    """Give the first layers on every way from a node."""
    seen = {node.name}
    waiting = [node]
    while waiting:
        for each in step(waiting.pop()):
            if each.name not in seen:
                seen.add(each.name)
                if each.op_type in KINDS + RECURRENT:
                    yield each
                else:
                    waiting.append(each)
