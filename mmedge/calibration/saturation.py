"""Which instructions a CPU needs so that ONNX Runtime computes a graph's integers right.

On x86 without VNNI its kernels multiply uint8 by int8 and add the products of two neighbours
in 16 bits, which saturate without a word (``vpmaddubsw``; Intel, "Intrinsics Guide"; ONNX
Runtime, "Quantize ONNX Models", on ``reduce_range``). Signed activations are computed the same
way, since it turns them into uint8 first. VNNI adds in 32 bits; so do all kernels for ARM.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from mmedge.calibration.graph import Graph, attribute

__all__ = ["PAIR_LIMIT", "largest_pairs", "required_instructions"]

PAIR_LIMIT = 32767 // 255
"""Two weights that add up to this cannot saturate with any two activations of 8 bits."""


def largest_pairs(node: onnx.NodeProto, weight: NDArray[Any]) -> NDArray[Any]:
    """Give the largest sum, by magnitude, of two weights that a kernel adds in 16 bits.

    Neighbours are the first and second factor of a sum, the third and fourth, and so on. A
    convolution sums in the order of its weight, or channel by channel at each place of its
    kernel where pictures are stored so; both count. Weights of two signs cancel.

    Args:
        node: ``Conv``, ``Gemm`` or ``MatMul``.
        weight: as the operator has it, in any numbers.

    Returns:
        One per output channel, ``[out]``.
    """
    sums = []
    for rows in _orders(node, weight):
        padded = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2)))
        pairs = padded.reshape(len(rows), -1, 2)
        high = np.maximum(pairs, 0).sum(axis=2).max(axis=1, initial=0)
        low = np.minimum(pairs, 0).sum(axis=2).min(axis=1, initial=0)
        sums.append(np.maximum(high, -low))
    found: NDArray[Any] = np.max(sums, axis=0)
    return found


def _orders(node: onnx.NodeProto, weight: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Give the weights of each output channel in the orders in which they may be summed."""
    if node.op_type == "Conv":
        yield weight.reshape(len(weight), -1)
        channels_last = np.moveaxis(weight, 1, -1)
        yield channels_last.reshape(len(weight), -1)
        if weight.shape[1] % 2:  # or each place of the kernel may be filled up
            filled = np.pad(channels_last, [*[(0, 0)] * (weight.ndim - 1), (0, 1)])
            yield filled.reshape(len(weight), -1)
    else:
        yield (
            weight
            if attribute(node, "transB", 0)
            else np.moveaxis(weight, -1, 0).reshape(weight.shape[-1], -1)
        )


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
    return bool((largest_pairs(node, weight.astype(np.int16)) > PAIR_LIMIT).any())


def _is_signed(graph: Graph, dequantise: onnx.NodeProto) -> bool:
    """Whether a value was quantised to int8; without a zero-point it was to uint8."""
    if len(dequantise.input) < 3 or not dequantise.input[2]:
        return False
    zero = graph.constant(dequantise.input[2])
    return zero is not None and zero.dtype == np.int8
