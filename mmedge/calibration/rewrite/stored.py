"""Values and constants of a CPU plan in their integer form: uint8, int8 and int32 with Q/DQ."""

from __future__ import annotations

import numpy as np
import onnx

from mmedge.calibration.graph import Graph, attribute
from mmedge.calibration.lowering import Lowering, Range
from mmedge.calibration.rewrite.bias import add_to_bias, mean_error
from mmedge.calibration.rewrite.weights import Floats, dequantise, quantise, weight_scales
from mmedge.calibration.saturation import PAIR_LIMIT, largest_pairs

__all__ = ["is_quantised", "quantise_value", "store_layer"]

ROUNDED = "/rounded"
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
    graph.add("DequantizeLinear", [f"{name}/uint8", *both], f"{name}{ROUNDED}")
    return f"{name}{ROUNDED}"


def store_layer(graph: Graph, node: onnx.NodeProto, lowering: Lowering) -> None:
    """Store a layer's weight in int8 and its bias in int32; what has Q/DQ stays.

    Args:
        graph: is changed.
        node: takes activations that are quantised.
        lowering: how thresholds of weights are chosen, whether sums of two products may pass
            16 bits, and what is known of the activations' means.
    """
    if is_quantised(graph, node.input[1]):
        return
    weight = np.asarray(graph.constant(node.input[1]), np.float32)
    axis = 0 if node.op_type == "Conv" or attribute(node, "transB", 0) else 1
    rounding = graph.producers[node.input[0]]
    step = np.asarray(graph.constant(rounding.input[1]), np.float32)
    bias = _bias(graph, node)
    scales = weight_scales(weight, axis, lowering.weights)
    if "vnni" not in lowering.instructions:
        # One step less than the limit, since rounding may add half a step to each of the two.
        scales = np.maximum(scales, largest_pairs(node, weight) / np.float32(PAIR_LIMIT - 1))
    if bias is not None:
        scales = np.maximum(scales, np.abs(bias) / (step * np.float32(BIAS_LIMIT)))
    steps = quantise(weight, scales, axis)
    mean = lowering.means.get(node.input[0].removesuffix(ROUNDED))
    if mean is not None:
        error = mean_error(node, weight, dequantise(steps, scales, axis), mean)
        add_to_bias(graph, node, -error)
    name, bias = node.name, _bias(graph, node)
    stored = [
        graph.add_constant(f"{name}/int8", steps),
        graph.add_constant(f"{name}/scales", scales),
        # Without zero-points ONNX Runtime 1.31 leaves a Gemm in float.
        graph.add_constant(f"{name}/zeros", np.zeros(scales.shape, np.int8)),
    ]
    graph.add("DequantizeLinear", stored, f"{name}/weight{ROUNDED}", axis=axis)
    graph.feed(node, 1, f"{name}/weight{ROUNDED}")
    if bias is not None:
        graph.feed(node, 2, _stored_bias(graph, name, bias, step * scales))


def _bias(graph: Graph, node: onnx.NodeProto) -> Floats | None:
    """Give the bias that a node takes itself, ``[out]``."""
    found = graph.constant(node.input[2]) if len(node.input) > 2 else None
    return None if found is None else np.asarray(found, np.float32).reshape(-1)


def _stored_bias(graph: Graph, name: str, bias: Floats, scales: Floats) -> str:
    """Store a bias in the steps of the sums that it is added to."""
    both = [
        graph.add_constant(f"{name}/int32", np.rint(bias / scales).astype(np.int32)),
        graph.add_constant(f"{name}/int32_scales", scales),
    ]
    graph.add("DequantizeLinear", both, f"{name}/bias{ROUNDED}", axis=0)
    return f"{name}/bias{ROUNDED}"
