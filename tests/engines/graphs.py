"""Little graphs, for what TensorRT takes and what it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

SCALE = np.float32(0.1)
ZERO = np.int8(0)


def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> Any:
    return helper.make_node(kind, inputs, [output], name=f"the_{output}", **attributes)


def graph_of(
    nodes: list[Any],
    constants: Mapping[str, Any] | None = None,
    *,
    takes: int = TensorProto.FLOAT,
    gives: int = TensorProto.FLOAT,
) -> bytes:
    """A graph from ``x``, ``[batch, 4, 6, 3]``, to ``y``."""
    inputs = [helper.make_tensor_value_info("x", takes, ["batch", 4, 6, 3])]
    outputs = [helper.make_tensor_value_info("y", gives, ["batch", None, None, None])]
    held = [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()]
    graph = helper.make_graph(nodes, "little", inputs, outputs, held)
    opset = [helper.make_opsetid("", 20)]
    data: bytes = helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()
    return data


def rounding(zero: Any, scale: Any = SCALE) -> bytes:
    """``x`` through a Q and a DQ."""
    inputs = ["scale", "zero"] if zero is not None else ["scale"]
    return graph_of(
        [
            node("QuantizeLinear", ["x", *inputs], "q"),
            node("DequantizeLinear", ["q", *inputs], "y"),
        ],
        {"scale": scale, **({} if zero is None else {"zero": zero})},
    )


def bytes_into(kind: str, *more: str, **attributes: Any) -> bytes:
    """Bytes that go into an operator before they are floats."""
    return graph_of(
        [node(kind, ["x", *more], "s", **attributes), node("Cast", ["s"], "y", to=1)],
        {"shape": np.array([0, 4, 3, 6]), "zero": np.array([0])},
        takes=TensorProto.UINT8,
    )


WEIGHT = np.ones((3, 3), np.int8)

REFUSED = {
    "uint8 Q/DQ": (rounding(np.uint8(0)), r"QuantizeLinear 'the_q' rounds to uint8"),
    "Q/DQ that are uint8 by default": (rounding(None), r"'the_q' rounds to uint8"),
    "int16 Q/DQ": (rounding(np.int16(0)), r"'the_q' rounds to int16"),
    "a zero point": (rounding(np.int8(3)), r"'the_q' has a zero point that is not 0"),
    "a scale of 0": (rounding(ZERO, np.float32(0)), r"'the_q' has a scale that is not above 0"),
    "a zero point among many": (
        graph_of(
            [
                node("DequantizeLinear", ["w", "scale", "zero"], "wf", axis=1),
                node("MatMul", ["x", "wf"], "y"),
            ],
            {"w": WEIGHT, "scale": np.ones(3, np.float32), "zero": np.array([0, 1, 0], np.int8)},
        ),
        r"DequantizeLinear 'the_wf' has a zero point that is not 0",
    ),
    "an int32 bias": (
        graph_of(
            [node("DequantizeLinear", ["b", "scale"], "bf"), node("Add", ["x", "bf"], "y")],
            {"b": np.ones(3, np.int32), "scale": SCALE},
        ),
        r"DequantizeLinear 'the_bf' makes a bias of int32",
    ),
    "a weight that turns in int8": (
        graph_of(
            [
                node("Transpose", ["w"], "wt"),
                node("DequantizeLinear", ["wt", "scale", "zero"], "wf"),
                node("MatMul", ["x", "wf"], "y"),
            ],
            {"w": WEIGHT, "scale": SCALE, "zero": ZERO},
        ),
        r"Transpose 'the_wt' takes the int8 constant 'w'",
    ),
    "Transpose on uint8": (
        bytes_into("Transpose", perm=[0, 2, 1, 3]),
        r"Transpose 'the_s' takes the bytes of 'x'",
    ),
    "Reshape on uint8": (bytes_into("Reshape", "shape"), r"Reshape 'the_s' takes the bytes"),
    "Gather on uint8": (bytes_into("Gather", "zero"), r"Gather 'the_s' takes the bytes"),
    "bytes inside": (
        graph_of([node("Cast", ["x"], "s", to=TensorProto.UINT8), node("Cast", ["s"], "y", to=1)]),
        r"Cast 'the_y' takes the bytes of 'the_s'",
    ),
}
"""What -> a graph that holds it, and what is said of it."""

TAKEN = {
    "int8 Q/DQ": rounding(ZERO),
    "bytes that are cast": graph_of(
        [node("Cast", ["x"], "s", to=1), node("Transpose", ["s"], "y", perm=[0, 2, 1, 3])],
        takes=TensorProto.UINT8,
    ),
    "bytes whose shape is asked for": graph_of(
        [
            node("Shape", ["x"], "sizes"),
            node("Cast", ["x"], "s", to=1),
            node("Reshape", ["s", "sizes"], "y"),
        ],
        takes=TensorProto.UINT8,
    ),
    "bytes as an output": graph_of(
        [node("Cast", ["x"], "y", to=TensorProto.UINT8)], gives=TensorProto.UINT8
    ),
    "an int8 weight": graph_of(
        [node("DequantizeLinear", ["w", "scale"], "wf"), node("MatMul", ["x", "wf"], "y")],
        {"w": WEIGHT, "scale": SCALE},
    ),
    "a scale that is computed": graph_of(
        [
            node("ReduceMax", ["x"], "scale", keepdims=0),
            node("QuantizeLinear", ["x", "scale", "zero"], "q"),
            node("DequantizeLinear", ["q", "scale", "zero"], "y"),
        ],
        {"zero": ZERO},
    ),
}
"""What -> a graph that holds it, and that TensorRT takes."""
