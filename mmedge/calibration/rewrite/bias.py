"""Biases: what rounding a weight adds on average is taken off again.

A rounded weight ``W + E`` adds ``E x`` to the answer. Its mean over the data, ``E mean(x)``, is a
constant and goes into the bias (Nagel et al. 2019, "Data-free quantization through weight
equalization and bias correction", section 4.2; the mean observed instead of derived).
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from mmedge.calibration.graph import Graph, attribute

__all__ = ["add_to_bias", "mean_error"]

Floats = NDArray[np.float32]


def mean_error(node: onnx.NodeProto, weight: Floats, rounded: Floats, mean: Floats) -> Floats:
    """Give what a layer answers too much on average, per output channel, ``[out]``.

    Args:
        node: ``Conv``, ``ConvTranspose``, ``Gemm`` or ``MatMul``.
        weight: as the layer's operator has it.
        rounded: what it is rounded to.
        mean: of each input channel, ``[in]``; edges of a picture count as its inside.
    """
    error = rounded - weight
    if node.op_type in ("Gemm", "MatMul"):
        return np.asarray(mean @ (error.T if attribute(node, "transB", 0) else error), np.float32)
    sums = error.reshape(*error.shape[:2], -1).sum(axis=2)
    if node.op_type == "ConvTranspose":  # [in, out], one group
        return np.asarray(mean @ sums, np.float32)
    groups = int(attribute(node, "group", 1))
    by_group = sums.reshape(groups, -1, sums.shape[1])  # [group, out, in]
    found = np.einsum("goi,gi->go", by_group, mean.reshape(groups, -1))
    return np.asarray(found.reshape(-1), np.float32)


def add_to_bias(graph: Graph, node: onnx.NodeProto, delta: Floats) -> None:
    """Add a constant per output channel, ``[out]``, to a layer's answer.

    It goes into the bias that the layer has, or that is added behind a ``MatMul``; else it
    becomes one.
    """
    if node.op_type != "MatMul":
        _add_to_input(graph, node, delta)
        return
    behind = graph.consumers.get(node.output[0], [])
    if len(behind) == 1 and behind[0].op_type == "Add" and node.output[0] not in graph.outputs:
        for index, name in enumerate(behind[0].input):
            bias = graph.constant(name)
            if bias is not None and bias.ndim <= 1:
                graph.replace_constant(behind[0], index, np.add(bias, delta, dtype=np.float32))
                return
    output = node.output[0]
    graph.rename_output(node, f"{output}/unbiased")
    graph.add_constant(f"{node.name}/bias", delta)
    graph.add(
        "Add", [f"{output}/unbiased", f"{node.name}/bias"], output, name=f"{node.name}/biased"
    )


def _add_to_input(graph: Graph, node: onnx.NodeProto, delta: Floats) -> None:
    if len(node.input) < 3:
        graph.feed(node, 2, graph.add_constant(f"{node.name}/bias", delta))
        return
    bias = graph.constant(node.input[2])
    if bias is not None:
        graph.replace_constant(node, 2, np.add(bias, delta, dtype=np.float32))
