"""What multiplies in a graph, and how much."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from mmedge.calibration.graph import Graph
from mmedge.calibration.layers import find_layers
from mmedge.errors import ArtefactError
from tests.fakes import onnx_model

node = helper.make_node


def test_layers_come_with_what_they_take_and_how_much_they_multiply() -> None:
    graph = onnx_model(
        [
            node("Mul", ["samples", "half"], ["front_end"], name="front"),
            node("Conv", ["front_end", "kernel"], ["seen"], name="conv", pads=[1] * 4),
            node("Flatten", ["seen"], ["flat"], name="flatten"),
            node("Gemm", ["flat", "matrix", "bias"], ["embedding"], name="gemm", transB=1),
        ],
        {"samples": ["batch", 2, 4, 4]},
        {"embedding": ["batch", 5]},
        {
            "half": np.float32(0.5),
            "kernel": np.ones((3, 2, 3, 3), np.float32),
            "matrix": np.ones((5, 48), np.float32),
            "bias": np.ones(5, np.float32),
        },
    )
    conv, gemm = find_layers(Graph(graph))
    assert (conv.name, conv.kind, conv.activations, conv.weight) == (
        "conv",
        "Conv",
        ("front_end",),
        "kernel",
    )
    assert conv.macs == 16 * 3 * 2 * 9
    assert (gemm.activations, gemm.weight, gemm.output, gemm.macs) == (
        ("flat",),
        "matrix",
        "embedding",
        5 * 48,
    )


def test_a_product_of_activations_is_counted_though_the_batch_comes_out_of_a_range() -> None:
    """As torch writes masks: rows numbered by ``Range``, whose size inference does not know."""
    graph = onnx_model(
        [
            node("Shape", ["samples"], ["sizes"], name="shape", end=1),
            node("Squeeze", ["sizes"], ["batch"], name="squeeze"),
            node("Range", ["zero", "batch", "one"], ["rows"], name="range"),
            node("Cast", ["rows"], ["floats"], name="cast", to=TensorProto.FLOAT),
            node("Unsqueeze", ["floats", "axes"], ["column"], name="unsqueeze"),
            node("Add", ["samples", "column"], ["moved"], name="add"),
            node("Transpose", ["moved"], ["turned"], name="turn", perm=[0, 2, 1]),
            node("MatMul", ["moved", "turned"], ["embedding"], name="product"),
        ],
        {"samples": ["batch", 3, 7]},
        {"embedding": ["batch", 3, 3]},
        {"zero": np.int64(0), "one": np.int64(1), "axes": np.int64([1, 2])},
    )
    (product,) = find_layers(Graph(graph))
    assert (product.activations, product.weight) == (("moved", "turned"), "")
    assert product.macs == 3 * 3 * 7


def test_a_weight_that_is_made_from_constants_is_a_weight() -> None:
    graph = onnx_model(
        [
            node("DequantizeLinear", ["stored", "scale"], ["matrix"], name="stored"),
            node("MatMul", ["samples", "matrix"], ["embedding"], name="product"),
        ],
        {"samples": ["batch", 4]},
        {"embedding": ["batch", 2]},
        {"stored": np.ones((4, 2), np.int8), "scale": np.float32(0.1)},
    )
    (product,) = find_layers(Graph(graph))
    assert (product.activations, product.weight, product.macs) == (("samples",), "matrix", 8)


def test_a_graph_may_have_no_layers() -> None:
    nodes = [node("Identity", ["samples"], ["embedding"], name="same")]
    graph = Graph(onnx_model(nodes, {"samples": ["batch", 4]}, {"embedding": ["batch", 4]}))
    assert find_layers(graph) == ()


def test_a_graph_that_does_not_run_is_refused() -> None:
    graph = onnx_model(
        [node("MatMul", ["samples", "matrix"], ["embedding"], name="product")],
        {"samples": ["batch", 4]},
        {"embedding": ["batch", 2]},
        {"matrix": np.ones((5, 2), np.float32)},
    )
    with pytest.raises(ArtefactError, match="does not run"):
        find_layers(Graph(graph))
