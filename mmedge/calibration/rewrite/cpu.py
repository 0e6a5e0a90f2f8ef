"""INT8 for ONNX Runtime's CPU kernels: Q/DQ where it fuses them into integer arithmetic.

Activations are uint8 with one affine scale, weights int8 with one scale per output channel,
biases int32. A convolution becomes ``QLinearConv``, which gives integers: so its output, and
what only moves or adds integers behind it, has Q/DQ as well. A product with a constant matrix
becomes ``MatMulIntegerToFloat`` or ``QGemm``, which give floats. What these kernels cannot take
stays float. (ONNX Runtime, "Quantize ONNX Models", and its ``qdq_selectors.cc``.)

On x86 without VNNI the kernels add two products of 8 bits in 16 bits, which saturate
(``vpmaddubsw``; Intel, "Intrinsics Guide"). Weights of 7 bits cannot reach that, which is what
ONNX Runtime's ``reduce_range`` does to all of them. It takes less: each pair that is added must
stay within 128 steps, so a channel loses only as much as its largest pair exceeds its largest
weight.
"""

from __future__ import annotations

import onnx

from mmedge.calibration.graph import Graph
from mmedge.calibration.layers import KINDS, RECURRENT, moving_values
from mmedge.calibration.lowering import Lowered, Lowering
from mmedge.calibration.rewrite.integers import find_integers, obstacle_behind
from mmedge.calibration.rewrite.pictures import transpose_first
from mmedge.calibration.rewrite.stored import is_quantised, quantise_value, store_layer
from mmedge.calibration.saturation import required_instructions
from mmedge.errors import ConfigError
from mmedge.manifest import Kept

__all__ = ["lower_cpu"]


def lower_cpu(model: bytes, lowering: Lowering) -> Lowered:
    """Let layers compute in INT8 on the CPU, and prepare uint8 pictures in its fast order.

    Weights have all of 8 bits where the lowering may rest on ``vnni``; else as many steps as no
    CPU adds wrongly. Q/DQ of training that the graph holds already stays as it is, and so does
    a layer that has it.

    Args:
        model: a ``fp32`` graph of a bundle.
        lowering: which layers, and the ranges of what they take and give.

    Raises:
        ConfigError: a layer that is asked for is none, or belongs to the front-end.
        ArtefactError: no ONNX file.
    """
    graph = Graph(model)
    _check_asked(graph, lowering)
    transpose_first(graph)
    moving = moving_values(graph)
    already = _imported(graph)
    chosen, kept = [], []
    for node in graph.nodes:
        if node.name in lowering.int8 - already:
            why = _obstacle(graph, node, moving, lowering)
            if why:
                kept.append(Kept(layer=node.name, precision="fp32", why=why))
            else:
                chosen.append(node)
    _rewrite(graph, chosen, lowering)
    lowered = graph.to_bytes()
    return Lowered(
        model=lowered,
        int8=tuple(each.name for each in graph.nodes if each in chosen or each.name in already),
        kept=tuple(kept),
        instructions=required_instructions(lowered),
    )


def _rewrite(graph: Graph, chosen: list[onnx.NodeProto], lowering: Lowering) -> None:
    integers = find_integers(graph, chosen, lowering.ranges)
    for value in integers:
        takers = list(graph.consumers.get(value.name, ()))
        rounded = quantise_value(graph, value.name, value.range, source=value.source)
        for taker in takers:
            _feed_all(graph, taker, value.name, rounded)
        if value.clipped is not None:
            graph.remove(value.clipped)
    taken: dict[str, str] = {}
    for node in chosen:
        name = node.input[0]
        if not is_quantised(graph, name):
            if name not in taken:
                taken[name] = quantise_value(graph, name, lowering.ranges[name])
            graph.feed(node, 0, taken[name])
        store_layer(graph, node, lowering)


def _feed_all(graph: Graph, node: onnx.NodeProto, before: str, after: str) -> None:
    for index, name in enumerate(node.input):
        if name == before:
            graph.feed(node, index, after)


def _imported(graph: Graph) -> frozenset[str]:
    """Give the layers that training with quantisation has left in INT8."""
    skipped = graph.front_end()
    return frozenset(
        node.name
        for node in graph.nodes
        if node.op_type in KINDS
        and node.name not in skipped
        and all(is_quantised(graph, name) for name in node.input[:2])
    )


def _check_asked(graph: Graph, lowering: Lowering) -> None:
    skipped = graph.front_end()
    known = {n.name for n in graph.nodes if n.op_type in KINDS + RECURRENT} - skipped
    if wrong := sorted(lowering.int8 - known):
        raise ConfigError(f"these are no layers behind the front-end: {', '.join(wrong)}")


def _obstacle(
    graph: Graph, node: onnx.NodeProto, moving: frozenset[str], lowering: Lowering
) -> str:
    """Say why ONNX Runtime's CPU has no fast INT8 form of a layer; empty if it has."""
    if node.op_type not in ("Conv", "Gemm", "MatMul"):
        return f"ONNX Runtime has no INT8 form of {node.op_type} on the CPU"
    left, right = node.input[:2]
    if left not in moving:
        return "its weight is the left factor"
    if right in moving:
        return "it multiplies two activations"
    return (
        _range_obstacle(graph, left, lowering)
        or _constant_obstacle(graph, node)
        or (obstacle_behind(graph, node, lowering.ranges) if node.op_type == "Conv" else "")
    )


def _range_obstacle(graph: Graph, name: str, lowering: Lowering) -> str:
    if is_quantised(graph, name):
        return ""
    seen = lowering.ranges.get(name)
    if seen is None:
        return f"no range of {name} was observed"
    return "" if seen.largest > 0 else f"{name} was never anything but zero"


def _constant_obstacle(graph: Graph, node: onnx.NodeProto) -> str:
    weight = graph.constant(node.input[1])
    if weight is None:
        quantised = is_quantised(graph, node.input[1])
        return "" if quantised else "its weight is computed in the graph"
    if node.op_type == "Conv":
        outputs = weight.shape[0]
    elif weight.ndim != 2:
        return f"its weight has {weight.ndim} dimensions, not 2"
    else:
        numbers = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        for name, value in {"transA": 0, "alpha": 1, "beta": 1}.items():
            if numbers.get(name, value) != value:
                return f"its {name} is {numbers[name]}, not {value}"
        outputs = weight.shape[0 if numbers.get("transB") else 1]
    if len(node.input) > 2 and node.input[2]:
        bias = graph.constant(node.input[2])
        if bias is None or bias.size != outputs:
            return "its bias is no constant per output channel"
    return ""
