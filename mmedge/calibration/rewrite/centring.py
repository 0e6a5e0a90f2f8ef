"""Centring: what is cut at zero is moved down, so that a symmetric scale wastes no codes on it.

Behind Relu and Clip nothing is negative, and TensorRT's INT8 is symmetric: half of its codes
would never be used. The layer before takes half of the range off its bias, the cut moves along,
and the layers behind add to their biases what that takes from them. The float32 answer stays the
same, and no operator is added. Zeros of padding would not move along, so layers that pad keep
their input as it is. (Of the idea, an offset that is absorbed by the next bias: Nagel et al. 2019,
section 4.1.3, "Absorbing high biases".)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from mmedge.calibration.channels import Channels
from mmedge.calibration.graph import Graph, attribute
from mmedge.calibration.rewrite.bias import add_to_bias, mean_error
from mmedge.calibration.rewrite.migrated import Migrated
from mmedge.calibration.rewrite.weights import LEVELS, as_half

__all__ = ["centrable", "centre"]

Floats = NDArray[np.float32]


def centrable(graph: Graph) -> dict[str, list[onnx.NodeProto]]:
    """Find the values that can be centred, and the layers that take each."""
    found = {}
    for node in graph.nodes:
        value = node.output[0] if node.output else ""
        takers = graph.consumers.get(value, [])
        if (
            node.op_type in ("Relu", "Clip")
            and all(name in graph.constants for name in node.input[1:] if name)
            and _biased(graph, node.input[0])
            and value not in graph.outputs
            and takers
            and all(_takes(graph, taker, value) for taker in takers)
        ):
            found[value] = list(takers)
    return found


def centre(model: bytes, channels: Mapping[str, Channels]) -> Migrated:
    """Move values that begin at zero to both sides of it.

    Lower the result with the means of its channels (`Lowering.means`): a value that mostly was
    0 is now mostly far from it, where the rounding of weights adds a constant.

    Args:
        model: a float32 graph.
        channels: of values that `centrable` names; the others stay as they are.
    """
    graph = Graph(model)
    after = {}
    for value, layers in centrable(graph).items():
        seen = channels.get(value)
        if seen is None or not (seen.low.min() >= 0 and seen.largest > 0):
            continue
        # 0, which is seen most, becomes the lowest step exactly.
        offset = LEVELS * as_half(np.asarray(seen.largest / 2 / LEVELS, np.float32))
        _move_down(graph, graph.producers[value], offset)
        for node in layers:
            weight = np.asarray(graph.constant(node.input[1]), np.float32)
            mean = np.full_like(seen.mean, offset)
            add_to_bias(graph, node, mean_error(node, np.zeros_like(weight), weight, mean))
        after[value] = seen.moved(offset)
    return Migrated(model=graph.to_bytes(), channels=after)


def _biased(graph: Graph, value: str) -> bool:
    """Whether a value is made, for this one taker, by something with a bias of constants."""
    maker = graph.producers.get(value)
    if maker is None or len(graph.consumers[value]) != 1 or value in graph.outputs:
        return False
    if maker.op_type == "Add":
        return any(_is_vector(graph, name) for name in maker.input)
    return maker.op_type in ("Conv", "Gemm") and _is_vector(graph, (*maker.input, "")[2])


def _is_vector(graph: Graph, name: str) -> bool:
    constant = graph.constant(name)
    return constant is not None and constant.ndim <= 1


def _takes(graph: Graph, node: onnx.NodeProto, value: str) -> bool:
    """Whether a layer takes a value everywhere alike, and can make up for a shift."""
    if node.op_type not in ("Conv", "Gemm", "MatMul") or node.input[0] != value:
        return False
    pads = next((list(a.ints) for a in node.attribute if a.name == "pads"), [])
    plain = all(attribute(node, n, d) == d for n, d in (("transA", 0), ("alpha", 1), ("beta", 1)))
    weight = graph.constant(node.input[1])
    automatic = any(
        a.name == "auto_pad" and a.s not in (b"NOTSET", b"VALID") for a in node.attribute
    )
    return not any(pads) and not automatic and plain and weight is not None and weight.ndim >= 2


def _move_down(graph: Graph, node: onnx.NodeProto, offset: Floats) -> None:
    """Let Relu or Clip, and the bias before it, give ``offset`` less."""
    maker = graph.producers[node.input[0]]
    index = next(i for i, name in enumerate(maker.input) if _is_vector(graph, name))
    bias = np.asarray(graph.constant(maker.input[index]), np.float32)
    graph.replace_constant(maker, index, np.asarray(bias - offset, np.float32))
    lowest = np.zeros((), np.float32) if node.op_type == "Relu" else None
    bounds = [None if not name else graph.constant(name) for name in node.input[1:]] or [lowest]
    node.op_type = "Clip"
    for at, bound in enumerate(bounds, start=1):
        if bound is not None:
            constant = graph.add_constant(
                f"{node.name}/bound.{at}", np.subtract(bound, offset, dtype=np.float32)
            )
            graph.feed(node, at, constant)
