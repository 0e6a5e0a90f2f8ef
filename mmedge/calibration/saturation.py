"""Which instructions a CPU needs so that ONNX Runtime computes a graph's integers right.

On x86 without VNNI its kernels multiply uint8 by int8 and add the products of two neighbours
in 16 bits, which saturate without a word (``vpmaddubsw``; Intel, "Intrinsics Guide"; ONNX
Runtime, "Quantize ONNX Models", on ``reduce_range``). Signed activations are computed the same
way, since it turns them into uint8 first. VNNI adds in 32 bits; so do all kernels for ARM.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from mmedge.calibration.graph import Graph

__all__ = ["required_instructions"]

PAIR_LIMIT = 32767 // 255
"""Two weights whose magnitudes add up to this cannot saturate with any two activations."""


def required_instructions(model: bytes) -> tuple[str, ...]:
    """Tell what a CPU must have: ``("vnni",)``, or nothing for what is right everywhere.

    Args:
        model: ONNX file, with Q/DQ of ours or of anyone's: a network that was trained with
            quantisation, say.

    Raises:
        ArtefactError: no ONNX file.
    """
    graph = Graph(model)
    for node in graph.nodes:
        if node.op_type in ("Conv", "Gemm", "MatMul") and _may_saturate(graph, node):
            return ("vnni",)
    return ()


def _may_saturate(graph: Graph, node: onnx.NodeProto) -> bool:
    left, right = (graph.producers.get(name) for name in node.input[:2])
    if left is None or right is None:
        return False
    if {left.op_type, right.op_type} != {"DequantizeLinear"}:
        return False  # a factor is float, so the product is
    weight = graph.constant(right.input[0])
    if weight is None:  # two activations: signed ones are multiplied in 8 bits
        return _is_signed(graph, right)
    if weight.dtype != np.int8:
        return False
    outputs_first = node.op_type == "Conv" or any(
        each.name == "transB" and each.i for each in node.attribute
    )
    rows = np.moveaxis(weight, 0 if outputs_first else -1, 0)
    return _largest_pair(rows.reshape(rows.shape[0], -1).astype(np.int16)) > PAIR_LIMIT


def _largest_pair(rows: NDArray[np.int16]) -> int:
    """Give the largest sum of two magnitudes of one sign in a row, whichever are neighbours."""
    if rows.shape[1] == 1:
        return int(np.abs(rows).max(initial=0))
    ordered = np.sort(rows, axis=1)
    high = np.maximum(ordered[:, -1], 0) + np.maximum(ordered[:, -2], 0)
    low = np.minimum(ordered[:, 0], 0) + np.minimum(ordered[:, 1], 0)
    return int(max(high.max(initial=0), -low.min(initial=0)))


def _is_signed(graph: Graph, dequantise: onnx.NodeProto) -> bool:
    """Whether a value was quantised to int8; without a zero-point it was to uint8."""
    if len(dequantise.input) < 3 or not dequantise.input[2]:
        return False
    zero = graph.constant(dequantise.input[2])
    return zero is not None and zero.dtype == np.int8
