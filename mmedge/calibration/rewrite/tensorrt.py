"""INT8 for TensorRT: explicit symmetric Q/DQ, exactly where TensorRT fuses them.

The rules are those of NVIDIA's "Working with Quantized Types" (TensorRT's documentation), and
what its compiler was seen to do (tests/rtx): signed int8, zero-point 0, one scale per tensor of
activations, one per output channel of weights, float biases. Nothing stands between a layer
and the bias, the residual add or the activation behind it, so that they fuse. Normalisation,
Softmax and GELU stay float. Both products of an attention are INT8 or neither: with one alone,
attention falls apart into its pieces.
"""

from __future__ import annotations

import numpy as np
import onnx

from mmedge.calibration.graph import Graph, attribute
from mmedge.calibration.layers import KINDS, RECURRENT, moving_values
from mmedge.calibration.lowering import Lowered, Lowering
from mmedge.calibration.rewrite.bias import add_to_bias, mean_error
from mmedge.calibration.rewrite.fp16 import lower_fp16
from mmedge.calibration.rewrite.imported import imported_layers
from mmedge.calibration.rewrite.patterns import attentions, skip_branches
from mmedge.calibration.rewrite.weights import (
    LEVELS,
    Floats,
    as_half,
    dequantise,
    quantise,
    weight_scales,
)
from mmedge.errors import ConfigError
from mmedge.manifest import Kept

__all__ = ["lower_tensorrt"]

ZERO = "int8_zero"


def lower_tensorrt(model: bytes, lowering: Lowering) -> Lowered:
    """Put Q/DQ around the layers that are to compute in INT8.

    With ``lowering.rest`` in FP16 the rest follows, as far as what was seen fits (`lower_fp16`).
    Q/DQ of quantisation-aware training are respected: their scales stay, and the layers that
    stand behind them are INT8 whatever is asked.

    Args:
        model: a ``fp32`` graph of a bundle.
        lowering: which layers, the ranges of what they take, and what was seen of all values.

    Raises:
        ConfigError: a layer that is asked for is none, or belongs to the front-end.
        IncompatibleError: the graph's own Q/DQ are none that TensorRT takes.
        ArtefactError: no ONNX file.
    """
    graph = Graph(model)
    graph.sort()
    moving = moving_values(graph)
    already = imported_layers(graph, moving)
    kept = _obstacles(graph, moving, lowering, already)
    chosen = lowering.int8 - already - kept.keys()
    for node in graph.nodes:
        if node.name in chosen:
            _lower(graph, node, moving, lowering)
    convolutions = {node.name for node in graph.nodes if node.op_type == "Conv"}
    for node, index in list(skip_branches(graph, chosen & convolutions)):
        if _range_obstacle(node.input[index], lowering) == "":
            graph.feed(node, index, _rounded(graph, node.input[index], lowering))
    int8 = tuple(node.name for node in graph.nodes if node.name in chosen | already)
    reasons = {
        name: Kept(layer=name, precision=lowering.rest, why=why) for name, why in kept.items()
    }
    lowered = graph.to_bytes()
    if lowering.rest == "fp16":
        half = lower_fp16(lowered, lowering.seen)
        lowered, reasons = half.model, reasons | {each.layer: each for each in half.kept}
    return Lowered(model=lowered, int8=int8, kept=tuple(reasons.values()))


def _obstacles(
    graph: Graph, moving: frozenset[str], lowering: Lowering, already: frozenset[str]
) -> dict[str, str]:
    """Say of each layer that cannot compute in INT8 as asked, why."""
    layers = {node.name: node for node in graph.nodes if node.op_type in KINDS + RECURRENT}
    if wrong := sorted(lowering.int8 - (layers.keys() - graph.front_end())):
        raise ConfigError(f"these are no layers behind the front-end: {', '.join(wrong)}")
    asked = lowering.int8 - already
    reasons = {
        name: _obstacle(graph, node, moving, lowering)
        for name, node in layers.items()
        if name in asked
    }
    found = {name: why for name, why in reasons.items() if why}
    int8 = (asked | already) - found.keys()
    for products in attentions(graph, moving):
        if left := sorted(products - int8):
            why = f"attention fuses only with {', '.join(left)} in the same precision"
            found |= dict.fromkeys(sorted(products & asked & int8), why)
    return found


def _obstacle(
    graph: Graph, node: onnx.NodeProto, moving: frozenset[str], lowering: Lowering
) -> str:
    """Say why a layer cannot compute in INT8; empty if it can."""
    if node.op_type in RECURRENT:
        return "TensorRT has no INT8 form of recurrent layers"
    reasons = (_range_obstacle(name, lowering) for name in node.input[:2] if name in moving)
    return next(filter(None, reasons), "") or _weight_obstacle(graph, node, moving)


def _range_obstacle(name: str, lowering: Lowering) -> str:
    seen = lowering.ranges.get(name)
    if seen is None:
        return f"no range of {name} was observed"
    return "" if seen.largest > 0 else f"{name} was never anything but zero"


def _weight_obstacle(graph: Graph, node: onnx.NodeProto, moving: frozenset[str]) -> str:
    left, right = node.input[:2]
    if right in moving:
        return "" if left in moving else "its weight is the left factor"
    weight = graph.constant(right)
    if weight is None:
        return "its weight is computed in the graph"
    if node.op_type in ("MatMul", "Gemm") and weight.ndim != 2:
        return f"its weight has {weight.ndim} dimensions, not 2"
    plain = {"ConvTranspose": {"group": 1}, "Gemm": {"transA": 0, "alpha": 1}}
    for name, value in plain.get(node.op_type, {}).items():
        if (given := attribute(node, name, value)) != value:
            return f"its {name} is {given}, not {value}"
    return ""


def _lower(graph: Graph, node: onnx.NodeProto, moving: frozenset[str], lowering: Lowering) -> None:
    mean = lowering.means.get(node.input[0])
    for index, name in enumerate(list(node.input[:2])):
        if name in moving:
            graph.feed(node, index, _rounded(graph, name, lowering))
            continue
        graph.feed(node, index, _stored(graph, node, name, lowering))
        if mean is not None:
            weight = np.asarray(graph.constant(name), np.float32)
            add_to_bias(graph, node, -mean_error(node, weight, _read(graph, node, index), mean))


def _rounded(graph: Graph, name: str, lowering: Lowering) -> str:
    """Give a value as INT8 layers take it: through one Q/DQ pair that they share."""
    found = f"{name}/rounded"
    if found not in graph.producers:
        scale = as_half(np.asarray(lowering.ranges[name].largest / LEVELS, np.float32))
        constants = [
            graph.add_constant(f"{name}/scale", scale),
            graph.add_constant(ZERO, np.zeros((), np.int8)),
        ]
        graph.add("QuantizeLinear", [name, *constants], f"{name}/int8")
        graph.add("DequantizeLinear", [f"{name}/int8", *constants], found)
    return found


def _stored(graph: Graph, node: onnx.NodeProto, name: str, lowering: Lowering) -> str:
    """Store a weight as int8 with one scale per output channel; gives its float stand-in."""
    axis = _output_axis(node)
    found = f"{name}/rounded.{axis}"
    if found not in graph.producers:  # layers may share a weight
        weight = np.asarray(graph.constant(name), np.float32)
        scales = weight_scales(weight, axis, lowering.weights)
        constants = [
            graph.add_constant(f"{name}/int8.{axis}", quantise(weight, scales, axis)),
            graph.add_constant(f"{name}/scales.{axis}", scales),
        ]
        graph.add("DequantizeLinear", constants, found, axis=axis)
    return found


def _read(graph: Graph, node: onnx.NodeProto, index: int) -> Floats:
    """Give the weight that a layer takes, from where `_stored` has stored it."""
    stored, scales = graph.producers[node.input[index]].input
    return dequantise(
        np.asarray(graph.constant(stored), np.int8),
        np.asarray(graph.constant(scales), np.float32),
        _output_axis(node),
    )


def _output_axis(node: onnx.NodeProto) -> int:
    """Tell which axis of a layer's weight counts its output channels."""
    if node.op_type == "Gemm":
        return 0 if attribute(node, "transB", 0) else 1
    return 0 if node.op_type == "Conv" else 1
