"""Values and constants of a CPU plan in their integer form: uint8, int8 and int32 with Q/DQ."""

from __future__ import annotations

import numpy as np
import onnx

from mmedge.calibration.graph import Graph
from mmedge.calibration.lowering import Range
from mmedge.calibration.rewrite.weights import Floats, Method, quantise, weight_scales

__all__ = ["is_quantised", "quantise_value", "store_layer"]

BIAS_LIMIT = 2**30
"""How large an int32 bias may be, so that products can still be added to it."""


def is_quantised(graph: Graph, name: str) -> bool:
    """Whether a value comes out of 8 bits already, with the scales that integer kernels take.

    Those are one, or one per channel of a constant.
    """
    node = graph.producers.get(name)
    if node is None or node.op_type != "DequantizeLinear":
        return False
    scale = graph.constant(node.input[1])
    return scale is not None and (scale.size == 1 or node.input[0] in graph.constants)


def quantise_value(graph: Graph, name: str, seen: Range, *, source: str = "") -> str:
    """Put uint8 Q/DQ behind a value; gives what comes out, for those that are to take it.

    Args:
        graph: is changed.
        name: the value, after which the new ones are named.
        seen: its range; 0 becomes an integer.
        source: the value that is quantised, if it is another.
    """
    scale = np.float32((seen.high - seen.low) / 255)
    zero = np.clip(np.rint(-seen.low / scale), 0, 255)
    both = [
        graph.add_constant(f"{name}/scale", np.asarray(scale)),
        graph.add_constant(f"{name}/zero", np.asarray(zero, np.uint8)),
    ]
    graph.add("QuantizeLinear", [source or name, *both], f"{name}/uint8")
    graph.add("DequantizeLinear", [f"{name}/uint8", *both], f"{name}/rounded")
    return f"{name}/rounded"


def store_layer(graph: Graph, node: onnx.NodeProto, method: Method, levels: int) -> None:
    """Store a layer's weight in int8 and its bias in int32; what has Q/DQ stays.

    Args:
        graph: is changed.
        node: takes activations that are quantised.
        method: how thresholds of weights are chosen.
        levels: steps of the weights on either side of zero.
    """
    if is_quantised(graph, node.input[1]):
        return
    weight = np.asarray(graph.constant(node.input[1]), np.float32)
    axis = 0 if node.op_type == "Conv" or _turned(node) else 1
    scales = weight_scales(weight, axis, method, levels)
    step = np.float32(graph.constant(graph.producers[node.input[0]].input[1]))
    constant = graph.constant(node.input[2]) if len(node.input) > 2 else None
    bias = None if constant is None else np.asarray(constant, np.float32).reshape(-1)
    if bias is not None:
        least = np.abs(bias) / (step * np.float32(BIAS_LIMIT))
        scales = np.maximum(scales, least).astype(np.float32)
    name = node.name
    stored = [
        graph.add_constant(f"{name}/weight", quantise(weight, scales, axis, levels)),
        graph.add_constant(f"{name}/weight_scales", scales),
        # Without zero-points ONNX Runtime 1.31 leaves a Gemm in float.
        graph.add_constant(f"{name}/weight_zeros", np.zeros(scales.shape, np.int8)),
    ]
    graph.add("DequantizeLinear", stored, f"{name}/weight_rounded", axis=axis)
    graph.feed(node, 1, f"{name}/weight_rounded")
    if bias is not None:
        graph.feed(node, 2, _stored_bias(graph, name, bias, step * scales))


def _stored_bias(graph: Graph, name: str, bias: Floats, scales: Floats) -> str:
    """Store a bias in the steps of the sums that it is added to."""
    both = [
        graph.add_constant(f"{name}/bias", np.rint(bias / scales).astype(np.int32)),
        graph.add_constant(f"{name}/bias_scales", scales),
    ]
    graph.add("DequantizeLinear", both, f"{name}/bias_rounded", axis=0)
    return f"{name}/bias_rounded"


def _turned(node: onnx.NodeProto) -> bool:
    return any(each.name == "transB" and each.i for each in node.attribute)
