"""Biases that take off what rounding the weights adds on average."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from mmedge.calibration.graph import Graph
from mmedge.calibration.lowering import Lowering, Range
from mmedge.calibration.rewrite.bias import add_to_bias
from mmedge.calibration.rewrite.tensorrt import lower_tensorrt
from mmedge.runtime.backends import open_backend
from tests.fakes import onnx_model

node = helper.make_node


def run(model: bytes, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    with open_backend("cpu", model, what="graph", simulate=True) as backend:
        return np.asarray(backend.run({"samples": samples})["embedding"], np.float32)


def draw(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "attributes", "shape", "outputs"),
    [
        ("MatMul", {}, (8, 6), 6),
        ("Gemm", {}, (8, 6), 6),
        ("Gemm", {"transB": 1}, (6, 8), 6),
        ("Conv", {}, (6, 8, 1, 1), 6),
        ("Conv", {"group": 4}, (12, 2, 1, 1), 12),
        ("ConvTranspose", {}, (8, 6, 1, 1), 6),
    ],
)
def test_with_the_mean_of_the_input_the_mean_of_the_answer_is_right(
    kind: str, attributes: dict[str, Any], shape: tuple[int, ...], outputs: int
) -> None:
    picture = [2, 2] if "Conv" in kind else []
    model = onnx_model(
        [node(kind, ["samples", "weight"], ["embedding"], name="layer", **attributes)],
        {"samples": ["batch", 8, *picture]},
        {"embedding": ["batch", outputs, *picture]},
        {"weight": draw(*shape)},
    )
    # Far from zero and hardly varying: the mean is nearly all there is.
    samples = np.float32(3) + 0.1 * draw(64, 8, *picture)
    mean = samples.mean(axis=(0, *range(2, samples.ndim)), dtype=np.float32)

    def error(means: dict[str, NDArray[np.float32]]) -> float:
        lowering = Lowering(
            int8=frozenset({"layer"}), ranges={"samples": Range(-4, 4)}, means=means
        )
        found = run(lower_tensorrt(model, lowering).model, samples) - run(model, samples)
        axes = (0, *range(2, found.ndim))
        return float(np.abs(found.mean(axis=axes)).max())

    assert error({"samples": mean}) < 0.25 * error({})


def bias_behind(nodes: list[Any], constants: dict[str, Any]) -> bytes:
    return onnx_model(
        nodes,
        {"samples": ["batch", 3]},
        {"embedding": ["batch", 2]},
        {"weight": draw(3, 2), **constants},
    )


@pytest.mark.parametrize("kind", ["none", "behind", "shared", "in the layer"])
def test_a_constant_is_added_wherever_a_layer_has_its_bias(kind: str) -> None:
    bias = {"bias": np.float32([10, 20])}
    matmul = node("MatMul", ["samples", "weight"], ["hidden"], name="layer")
    last = node("MatMul", ["samples", "weight"], ["embedding"], name="layer")
    model = {
        "none": bias_behind([last], {}),
        "behind": bias_behind(
            [matmul, node("Add", ["bias", "hidden"], ["embedding"], name="add")], bias
        ),
        "shared": bias_behind(
            [
                matmul,
                node("Add", ["hidden", "bias"], ["sum"], name="add"),
                node("Mul", ["sum", "bias"], ["embedding"], name="mul"),
            ],
            bias,
        ),
        "in the layer": bias_behind(
            [node("Gemm", ["samples", "weight", "bias"], ["embedding"], name="layer")], bias
        ),
    }[kind]
    graph = Graph(model)
    (layer,) = (each for each in graph.nodes if each.name == "layer")
    add_to_bias(graph, layer, np.float32([1, 2]))
    factor = np.float32([10, 20]) if kind == "shared" else 1
    samples = draw(5, 3)
    wanted = run(model, samples) + np.float32([1, 2]) * factor
    np.testing.assert_allclose(run(graph.to_bytes(), samples), wanted, rtol=1e-5)
    assert sum(each.op_type == "Add" for each in graph.nodes) == (kind != "in the layer")
