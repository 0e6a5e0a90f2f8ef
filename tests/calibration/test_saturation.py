"""Sums of 8-bit products that pass 16 bits: recognised, avoided, and what they cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from mmedge.calibration.graph import Graph
from mmedge.calibration.lowering import Lowering, Range
from mmedge.calibration.rewrite.cpu import lower_cpu
from mmedge.calibration.saturation import required_instructions
from mmedge.runtime.backends import open_backend
from mmedge.runtime.backends.instructions import lacking, this_cpu
from tests.fakes import onnx_model

node = helper.make_node
random = np.random.default_rng(7)


@pytest.mark.parametrize(
    ("activations", "weight", "needed"),
    [
        (np.uint8, np.int8([[127, 1], [-127, 1]]), ()),
        (np.uint8, np.int8([[64, 1], [64, 1]]), ()),
        (np.uint8, np.int8([[65, 1], [64, 1]]), ("vnni",)),
        (np.uint8, np.int8([[-65, 1], [-64, 1]]), ("vnni",)),
        (np.uint8, np.int8([[65, 1], [0, 1], [64, 1]]), ()),
        (np.uint8, np.int8([[0, 1], [0, 1], [65, 1], [64, 1]]), ("vnni",)),
        (np.int8, np.int8([[127, 1], [127, 1]]), ("vnni",)),
        (np.uint8, np.uint8([[255, 1], [255, 1]]), ()),
    ],
)
def test_what_may_saturate_without_vnni_is_recognised_in_anyones_graph(
    activations: type, weight: NDArray[Any], needed: tuple[str, ...]
) -> None:
    model = onnx_model(
        [
            node("QuantizeLinear", ["samples", "scale", "zero"], ["quantised"], name="q"),
            node("DequantizeLinear", ["quantised", "scale", "zero"], ["rounded"], name="dq"),
            node("DequantizeLinear", ["weight", "scale"], ["matrix"], name="dq.w"),
            node("MatMul", ["rounded", "matrix"], ["embedding"], name="layer"),
        ],
        {"samples": ["batch", len(weight)]},
        {"embedding": ["batch", 2]},
        {"scale": np.float32(0.1), "zero": activations(0), "weight": weight},
    )
    assert required_instructions(model) == needed


def test_a_graph_in_float_needs_nothing() -> None:
    assert required_instructions(onnx_conv(4, 2, (3, 3), 1)) == ()


def onnx_conv(channels: int, outputs: int, kernel: tuple[int, int], group: int) -> bytes:
    """A convolution of positive weights behind another, so that its input is quantised."""
    weight = random.uniform(0.2, 1, (outputs, channels // group, *kernel)).astype(np.float32)
    return onnx_model(
        [
            node("Conv", ["samples", "weight"], ["sums"], name="layer", group=group),
            node("Relu", ["sums"], ["relu"], name="relu"),
            node("Mul", ["relu", "one"], ["embedding"], name="last"),
        ],
        {"samples": ["batch", channels, 6, 6]},
        {"embedding": ["batch", outputs, 7 - kernel[0], 7 - kernel[1]]},
        {"weight": weight, "one": np.float32(1)},
    )


def onnx_matmul(size: int, outputs: int) -> bytes:
    weight = random.uniform(0.2, 1, (size, outputs)).astype(np.float32)
    return onnx_model(
        [node("MatMul", ["samples", "weight"], ["embedding"], name="layer")],
        {"samples": ["batch", 5, size]},
        {"embedding": ["batch", 5, outputs]},
        {"weight": weight},
    )


GRAPHS = [
    pytest.param(onnx_conv(3, 16, (3, 3), 1), (3, 6, 6), id="stem"),
    pytest.param(onnx_conv(16, 16, (1, 1), 1), (16, 6, 6), id="pointwise"),
    pytest.param(onnx_conv(16, 32, (3, 3), 1), (16, 6, 6), id="3x3"),
    pytest.param(onnx_conv(12, 24, (3, 3), 4), (12, 6, 6), id="grouped, odd"),
    pytest.param(onnx_conv(16, 16, (3, 3), 16), (16, 6, 6), id="depthwise"),
    pytest.param(onnx_matmul(64, 33), (5, 64), id="matrix"),
    pytest.param(onnx_matmul(7, 5), (5, 7), id="odd matrix"),
]


def error(model: bytes, shape: tuple[int, ...], instructions: tuple[str, ...]) -> float:
    """Largest error of the integer kernels on the largest inputs, over the largest answer."""
    samples = np.ones((2, *shape), np.float32)
    with open_backend("cpu", model, what="graph") as backend:
        exact = backend.run({"samples": samples})["embedding"]
    ranges = {"samples": Range(0, 1), "sums": Range(0, float(exact.max()))}
    lowered = lower_cpu(
        model,
        Lowering(int8=frozenset({"layer"}), ranges=ranges, instructions=instructions),
    )
    assert lowered.int8 == ("layer",)
    assert lowered.instructions == instructions
    with open_backend("cpu", lowered.model, what="graph") as backend:
        found = backend.run({"samples": samples})["embedding"]
    return float(np.abs(found.astype(float) - exact).max() / exact.max())


@pytest.mark.parametrize(("model", "shape"), GRAPHS)
def test_sums_at_the_limit_are_right_on_every_cpu(model: bytes, shape: tuple[int, ...]) -> None:
    assert error(model, shape, ()) < 0.02


def test_the_naive_form_is_right_with_vnni_and_wrong_without_a_word_elsewhere() -> None:
    found = error(onnx_conv(16, 32, (3, 3), 1), (16, 6, 6), ("vnni",))
    assert found > 0.1 if lacking(("vnni",), this_cpu()) else found < 0.02


def test_weights_whose_pairs_stay_small_keep_all_their_steps() -> None:
    alternating = (np.arange(64) % 2 * 2 - 1).astype(np.float32)[:, None] * np.float32([1, 0.5])
    model = onnx_model(
        [node("MatMul", ["samples", "weight"], ["embedding"], name="layer")],
        {"samples": ["batch", 64]},
        {"embedding": ["batch", 2]},
        {"weight": alternating},
    )
    asked = Lowering(int8=frozenset({"layer"}), ranges={"samples": Range(-1, 1)})
    stored: NDArray[Any] | None = Graph(lower_cpu(model, asked).model).constant("layer/int8")
    assert stored is not None
    assert stored[:2].tolist() == [[-127, -127], [127, 127]]
