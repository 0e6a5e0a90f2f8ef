"""Centring: what begins at zero uses both sides of a symmetric scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from mmedge.calibration.channels import ChannelObserver
from mmedge.calibration.graph import Graph
from mmedge.calibration.lowering import Lowering, Range
from mmedge.calibration.rewrite.centring import centrable, centre
from mmedge.calibration.rewrite.easing import channel_axes, ease
from mmedge.calibration.rewrite.tensorrt import lower_tensorrt
from mmedge.runtime.backends import open_backend
from tests.fakes import onnx_model

node = helper.make_node
SAMPLES = np.random.default_rng(3).normal(size=(32, 4, 6, 6)).astype(np.float32)


def draw(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def network(cut: str = "Relu", **behind: Any) -> bytes:
    """A convolution, a cut at zero, a convolution of one pixel."""
    bounds = ["low", "high"] if cut == "Clip" else []
    return onnx_model(
        [
            node("Conv", ["samples", "w.0", "b.0"], ["seen"], name="first", pads=[1] * 4),
            node(cut, ["seen", *bounds], ["cut"], name="cut"),
            node("Conv", ["cut", "w.1", "b.1"], ["embedding"], name="second", **behind),
        ],
        {"samples": ["batch", 4, 6, 6]},
        {"embedding": ["batch", 5, 6, 6]},
        {
            "w.0": draw(8, 4, 3, 3),
            "b.0": draw(8),
            "w.1": draw(5, 8, 1, 1),
            "b.1": draw(5),
            "low": np.float32(0),
            "high": np.float32(6),
        },
    )


def run(model: bytes) -> NDArray[np.float32]:
    with open_backend("cpu", model, what="graph", simulate=True) as backend:
        return np.asarray(backend.run({"samples": SAMPLES})["embedding"], np.float32)


def observed(model: bytes) -> ChannelObserver:
    observer = ChannelObserver(model, channel_axes(model))
    observer.add({"samples": SAMPLES})
    return observer


@pytest.mark.parametrize("cut", ["Relu", "Clip"])
def test_the_answers_and_the_number_of_operators_stay(cut: str) -> None:
    model = network(cut)
    changed = centre(model, observed(model).channels)
    np.testing.assert_allclose(run(changed.model), run(model), atol=1e-4)
    assert [e.op_type for e in Graph(changed.model).nodes] == ["Conv", "Clip", "Conv"]
    seen = changed.channels["cut"]
    np.testing.assert_allclose(seen.low.min(), -seen.high.max(), rtol=2e-3)
    told = observed(changed.model).channels["cut"]
    np.testing.assert_allclose(told.mean, seen.mean, atol=1e-4)


def error(model: bytes, exact: NDArray[np.float32]) -> float:
    """Mean square of what INT8 in the last layer adds."""
    channels = observed(model).channels
    lowering = Lowering(
        int8=frozenset({"second"}),
        ranges={name: Range(-each.largest, each.largest) for name, each in channels.items()},
        means={name: each.mean for name, each in channels.items()},
    )
    return float(np.square(run(lower_tensorrt(model, lowering).model) - exact).mean())


def test_half_of_the_rounding_error_is_gone() -> None:
    model = network()
    plain, centred = (
        error(each, run(model)) for each in (model, ease(model, observed(model).channels).model)
    )
    # A step of half the size is a quarter of the power; rounding the weights adds its own.
    assert centred < plain / 2


def test_zero_stays_a_step_exactly() -> None:
    model = network()
    changed = centre(model, observed(model).channels)
    ranges = {"cut": Range(float(changed.channels["cut"].low.min()), 1.0)}
    lowered = Graph(
        lower_tensorrt(changed.model, Lowering(int8=frozenset({"second"}), ranges=ranges)).model
    )
    scale, bound = lowered.constant("cut/scale"), lowered.constant("cut/bound.1")
    assert scale is not None
    assert bound is not None
    np.testing.assert_allclose(bound / scale, -127, rtol=1e-6)


@pytest.mark.parametrize(
    "behind", [{"pads": [1, 1, 0, 0], "strides": [1, 1]}, {"auto_pad": b"SAME_UPPER"}]
)
def test_before_a_layer_that_pads_with_zeros_nothing_moves(behind: dict[str, Any]) -> None:
    assert centrable(Graph(network(**behind))) == {}


def test_what_others_take_too_or_what_has_no_bias_before_it_stays() -> None:
    shared = onnx_model(
        [
            node("Conv", ["samples", "w.0", "b.0"], ["seen"], name="first"),
            node("Relu", ["seen"], ["cut"], name="cut"),
            node("Conv", ["cut", "w.1"], ["out"], name="second"),
            node("Add", ["out", "cut"], ["embedding"], name="add"),
        ],
        {"samples": ["batch", 4, 6, 6]},
        {"embedding": ["batch", 4, 6, 6]},
        {"w.0": draw(4, 4, 1, 1), "b.0": draw(4), "w.1": draw(4, 4, 1, 1)},
    )
    assert centrable(Graph(shared)) == {}
    assert list(centrable(Graph(network()))) == ["cut"]
    bare = onnx_model(
        [
            node("Relu", ["samples"], ["cut"], name="cut"),
            node("Conv", ["cut", "w.1"], ["embedding"], name="second"),
        ],
        {"samples": ["batch", 4, 6, 6]},
        {"embedding": ["batch", 4, 6, 6]},
        {"w.1": draw(4, 4, 1, 1)},
    )
    assert centrable(Graph(bare)) == {}
