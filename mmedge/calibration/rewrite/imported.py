"""Q/DQ that a graph comes with, from quantisation-aware training."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx

from mmedge.calibration.graph import Graph
from mmedge.calibration.layers import KINDS
from mmedge.errors import IncompatibleError

__all__ = ["imported_layers"]


def imported_layers(graph: Graph, moving: Collection[str]) -> frozenset[str]:
    """Give the names of the layers all of whose factors come out of a ``DequantizeLinear``.

    Raises:
        IncompatibleError: Q/DQ that TensorRT would read as something else: unsigned (it warns
            and takes them for signed), or with another zero-point than 0.
    """
    for node in graph.nodes:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            _check(graph, node)
    return frozenset(
        node.name
        for node in graph.nodes
        if node.op_type in KINDS
        and node.output[0] in moving
        and all(_dequantised(graph, name) for name in node.input[:2])
    )


def _dequantised(graph: Graph, name: str) -> bool:
    maker = graph.producers.get(name)
    return maker is not None and maker.op_type == "DequantizeLinear"


def _check(graph: Graph, node: onnx.NodeProto) -> None:
    zero = graph.constant(node.input[2]) if len(node.input) > 2 else None
    stored = graph.constant(node.input[0])
    if node.op_type == "QuantizeLinear" and zero is None:
        zero = np.zeros((), np.uint8)  # what ONNX says it is
    for each in (zero, stored if node.op_type == "DequantizeLinear" else None):
        if each is not None and each.dtype != np.int8:
            raise IncompatibleError(
                f"{node.name} of the trained model's own quantisation is {each.dtype}, and "
                "TensorRT takes int8 only. Train with symmetric int8, or export without Q/DQ."
            )
    if zero is not None and np.any(zero):
        raise IncompatibleError(
            f"{node.name} of the trained model's own quantisation has a zero-point other than 0, "
            "which TensorRT does not take. Train with symmetric int8, or export without Q/DQ."
        )
