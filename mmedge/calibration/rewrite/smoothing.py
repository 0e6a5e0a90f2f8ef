"""Migration: what makes activations hard to round in INT8 goes over into the weights.

Transformers have a few channels of activations that are many times larger than all others, and
some that lie far to one side of zero. One scale per tensor must reach them, and the others lose
their steps; weights have a scale per output channel and can spare some. So each channel ``j`` of
what a dense layer takes becomes ``(x_j - shift_j) / s_j``, with

    s_j = spread_j ** alpha / weight_j ** (1 - alpha)

its row of the weight is multiplied by ``s_j``, and the bias takes what the shift took away: the
float32 answer stays the same. The division is that of Xiao et al. 2023, "SmoothQuant: accurate
and efficient post-training quantization for large language models"; the shift, to the middle of
the channel, that of Wei et al. 2023, "Outlier Suppression+". With it the symmetric scale that
TensorRT wants loses nothing on GELU, which hardly knows negative numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray

from mmedge.calibration.channels import Channels
from mmedge.calibration.graph import Graph, attribute
from mmedge.calibration.layers import KINDS, moving_values
from mmedge.calibration.rewrite.bias import add_to_bias
from mmedge.calibration.rewrite.migrated import Migrated
from mmedge.calibration.rewrite.weights import LEVELS, as_half

__all__ = ["migratable", "migrate"]

Floats = NDArray[np.float32]

SMALLEST = 1e-4
"""Spreads and weights count as at least this part of the largest: a dead channel has no size."""
ENOUGH = 2_000
"""Rows (tokens of all samples) from which the ends of every channel are known. With fewer, new
samples pass them, and a channel that was stretched to INT8's ends is cut."""
_MOVES = ("Reshape", "Transpose", "Identity", "Squeeze", "Unsqueeze", "Flatten")


def migratable(graph: Graph) -> dict[str, list[onnx.NodeProto]]:
    """Find the values that can be migrated, channels last, and the layers that take each.

    They are what dense layers behind the front-end take, except what comes out of an attention:
    TensorRT rounds that inside the fused layer, where nothing may come between.
    """
    moving, skipped = moving_values(graph), graph.front_end()
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.nodes:
        if node.name not in skipped and _is_dense(graph, node, moving):
            found.setdefault(node.input[0], []).append(node)
    return {v: nodes for v, nodes in found.items() if not _is_product(graph, v, moving)}


def migrate(
    model: bytes, channels: Mapping[str, Channels], alpha: float = 0.85, *, shift: bool = True
) -> Migrated:
    """Shift and divide activations by channel, and multiply weights.

    A normalisation whose every consumer is such a layer takes it into its own weight and bias;
    elsewhere it is a ``Mul`` and an ``Add``, which TensorRT fuses with what is around them.

    Args:
        model: a float32 graph.
        channels: of values that `migratable` names; the others stay as they are, and so do
            those that were seen in fewer than `ENOUGH` rows.
        alpha: how much goes over into the weights, 0 to 1.
        shift: move each channel to its middle. It is then far from zero most of the time, and
            rounding the weights adds a constant, which is large: lower with the means of
            `Migrated.channels` (`Lowering.means`), or do not shift.
    """
    graph = Graph(model)
    after: dict[str, Channels] = {}
    for value, layers in migratable(graph).items():
        seen = channels.get(value)
        if seen is not None and seen.rows >= ENOUGH:
            rows = np.concatenate([_rows(graph, node) for node in layers], axis=1)
            middle = np.multiply(seen.high + seen.low, 0.5 if shift else 0, dtype=np.float32)
            spread = np.maximum(seen.high - middle, middle - seen.low)
            factors = _factors(rows, spread, alpha)
            offset = _whole_steps(seen, middle, factors) if shift else middle
            for node in layers:
                _absorb(graph, node, factors, offset)
            name = _divide(graph, value, layers, factors, offset)
            after[name] = seen.moved(offset, factors)
    return Migrated(model=graph.to_bytes(), channels=after)


def _is_dense(graph: Graph, node: onnx.NodeProto, moving: Collection[str]) -> bool:
    """Whether a node multiplies an activation, channels last, by a plain matrix."""
    if node.op_type not in ("MatMul", "Gemm") or node.input[0] not in moving:
        return False
    weight = graph.constant(node.input[1])
    plain = attribute(node, "transA", 0) == 0 and attribute(node, "alpha", 1) == 1
    return weight is not None and weight.ndim == 2 and plain and attribute(node, "beta", 1) == 1


def _is_product(graph: Graph, value: str, moving: Collection[str]) -> bool:
    """Whether a value is a product of activations, moved around perhaps."""
    node = graph.producers.get(value)
    while node is not None and node.op_type in _MOVES:
        node = graph.producers.get(node.input[0])
    return (
        node is not None
        and node.op_type in KINDS
        and all(name in moving for name in node.input[:2])
    )


def _factors(rows: Floats, spread: Floats, alpha: float) -> Floats:
    """Give ``s`` from the spread of each channel and the largest weight that it meets."""
    weights = np.abs(rows).max(axis=1)
    spread, weights = (np.maximum(a, SMALLEST * max(a.max(), 1e-30)) for a in (spread, weights))
    factors = spread**alpha / weights ** (1 - alpha)
    # Only ratios count: as a whole the value keeps its size, so that FP16 holds it as before.
    return np.asarray(factors * (spread / factors).max() / spread.max(), np.float32)


def _whole_steps(seen: Channels, middle: Floats, factors: Floats) -> Floats:
    """Move the shifts to whole INT8 steps: then 0 stays one, the value that GELU gives most.

    Half a step is left at the ends, by which a shift may miss the middle. The widest channel
    does not follow: it ends at 127 steps, by which the scale will be chosen.
    """
    spread = np.maximum(seen.high - middle, middle - seen.low) / factors
    step = as_half(spread.max() / (LEVELS - 0.5))
    offsets = np.rint(middle / factors / step) * step * factors
    widest = int(spread.argmax())
    offsets[widest] = seen.high[widest] - LEVELS * step * factors[widest]
    return np.asarray(offsets, np.float32)


def _rows(graph: Graph, node: onnx.NodeProto) -> Floats:
    """Give a layer's weight as ``[in, out]``."""
    weight = np.asarray(graph.constant(node.input[1]), np.float32)
    return weight.T if attribute(node, "transB", 0) else weight


def _absorb(graph: Graph, node: onnx.NodeProto, factors: Floats, offset: Floats) -> None:
    """Let a layer's weight and bias make up for the division and the shift."""
    rows = _rows(graph, node)
    weight = rows * factors[:, None]
    turned = attribute(node, "transB", 0)
    graph.replace_constant(node, 1, np.asarray(weight.T if turned else weight, np.float32))
    add_to_bias(graph, node, np.asarray(offset.astype(np.float64) @ rows, np.float32))


def _divide(
    graph: Graph, value: str, layers: list[onnx.NodeProto], factors: Floats, offset: Floats
) -> str:
    """Shift and divide a value where its layers take it; gives its name behind that."""
    maker = graph.producers.get(value)
    alone = {node.name for node in graph.consumers[value]} == {node.name for node in layers}
    if (
        maker is not None
        and maker.op_type == "LayerNormalization"
        and len(maker.input) == 3
        and all(name in graph.constants for name in maker.input[1:])
        and alone
        and value not in graph.outputs
    ):
        for index, minus in ((1, np.zeros_like(offset)), (2, offset)):
            constant = np.asarray(graph.constant(maker.input[index]), np.float32)
            graph.replace_constant(maker, index, (constant - minus) / factors)
        return value
    graph.add_constant(f"{value}/divisor", np.asarray(1 / factors, np.float32))
    graph.add_constant(f"{value}/shift", np.asarray(-offset / factors, np.float32))
    graph.add("Mul", [value, f"{value}/divisor"], f"{value}/divided")
    graph.add("Add", [f"{value}/divided", f"{value}/shift"], f"{value}/migrated")
    for node in layers:
        graph.feed(node, 0, f"{value}/migrated")
    return f"{value}/migrated"
