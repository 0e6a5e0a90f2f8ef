"""What the audit takes for granted of the real compiler: names, and what it may leave out."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install 'mmedge[rtx]'"
)

from tests.engines.graphs import graph_of, node
from tests.rtx.auditing import audited, fused_layers

pytestmark = [pytest.mark.rtx, pytest.mark.timeout(300)]

FACTOR = {"w": np.ones((3, 3), np.float32)}


def products_of(model: bytes) -> set[str]:
    """Names of the graph's nodes that are in the engine's layers."""
    return {name for layer in fused_layers(model) for name in layer.nodes}


def test_a_product_of_fixed_shapes_is_computed_when_the_engine_is_built() -> None:
    nodes = [
        node("Shape", ["x"], "sizes", start=2),  # behind the batch: 6 and 3
        node("ConstantOfShape", ["sizes"], "halves", value=helper.make_tensor("v", 1, [1], [0.5])),
        node("MatMul", ["halves", "w"], "steady"),
        node("MatMul", ["x", "w"], "alive"),
        node("Add", ["alive", "steady"], "y"),
    ]
    model = graph_of(nodes, FACTOR)
    assert products_of(model) & {"the_steady", "the_alive"} == {"the_alive"}
    assert audited(model)[1].precisions == {"Float": 1}


def test_a_product_that_no_output_hangs_on_is_left_out() -> None:
    model = graph_of([node("MatMul", ["x", "w"], "dead"), node("MatMul", ["x", "w"], "y")], FACTOR)
    assert products_of(model) == {"the_y"}
    assert audited(model)[1].precisions == {"Float": 1}


def test_a_product_without_a_name_is_listed_under_its_output_s() -> None:
    nodes = [node("MatMul", ["x", "w"], "h"), node("Relu", ["h"], "y")]
    nodes[0].name = ""
    model = graph_of(nodes, FACTOR)
    assert "node_of_h" in products_of(model)
    assert audited(model)[1].precisions == {"Float": 1}


@pytest.mark.parametrize("takes", ["UINT8", "INT32", "INT64", "BOOL", "FLOAT"])
def test_a_cast_before_a_product_is_known_by_the_type_that_it_takes(takes: str) -> None:
    model = graph_of(
        [
            node("Cast", ["x"], "cast", to=TensorProto.FLOAT16),
            node("MatMul", ["cast", "w"], "product"),
            node("Cast", ["product"], "y", to=TensorProto.FLOAT),
        ],
        {"w": np.ones((3, 3), np.float16)},
        takes=TensorProto.DataType.Value(takes),
    )
    assert audited(model)[1].precisions == {"Half": 1}
