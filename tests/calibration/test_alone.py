"""Layers measured alone, and the sets that are worth measuring together."""

from __future__ import annotations

import numpy as np
from onnx import helper

from mmedge.calibration import alone
from mmedge.calibration.graph import Graph
from mmedge.calibration.layers import Layer, find_layers
from tests.fakes import onnx_model

node = helper.make_node


def layer(name: str, kind: str) -> Layer:
    return Layer(name=name, kind=kind, activations=("x",), weight="w", output="y", macs=1)


def test_what_is_slow_alone_is_left_out_of_all_sets_but_the_first() -> None:
    layers = [layer("stem", "Conv"), layer("conv", "Conv"), layer("fc", "Gemm"), layer("t", "LSTM")]
    assert alone.fast_kinds(layers, {"stem": 3.0, "conv": 0.5, "fc": 1.4}) == (
        frozenset({"stem", "conv", "fc"}),
        frozenset({"conv", "fc"}),
        frozenset({"conv"}),
        frozenset({"fc"}),
    )


def test_sets_that_are_the_same_or_empty_are_given_once_or_not_at_all() -> None:
    assert alone.fast_kinds([layer("fc", "Gemm")], {"fc": 0.5}) == (frozenset({"fc"}),)
    assert alone.fast_kinds([layer("fc", "Gemm")], {"fc": 9.0}) == (frozenset({"fc"}),)
    assert alone.fast_kinds([layer("t", "LSTM")], {}) == ()


def test_every_layer_with_an_int8_form_is_measured() -> None:
    model = onnx_model(
        [
            node("Conv", ["samples", "kernel"], ["conv"], name="conv", pads=[1] * 4),
            node("Conv", ["conv", "kernel"], ["again"], name="again", pads=[1] * 4),
            node("MatMul", ["again", "matrix"], ["product"], name="product"),
            node("MatMul", ["product", "again"], ["embedding"], name="attention"),
        ],
        {"samples": ["batch", 4, 8, 8]},
        {"embedding": ["batch", 4, 8, 8]},
        {"kernel": np.ones((4, 4, 3, 3), np.float32), "matrix": np.ones((8, 8), np.float32)},
    )
    ratios = alone.ratios_alone(model, find_layers(Graph(model)), threads=1)
    assert set(ratios) == {"conv", "again", "product"}
    assert ratios["conv"] == ratios["again"]  # one shape, measured once
    assert all(each > 0 for each in ratios.values())


def test_when_time_is_up_what_was_not_measured_counts_as_no_slower() -> None:
    constants = {"wide": np.ones((8, 16), np.float32), "narrow": np.ones((16, 8), np.float32)}
    model = onnx_model(
        [
            node("MatMul", ["samples", "wide"], ["one"], name="one"),
            node("MatMul", ["one", "narrow"], ["embedding"], name="two"),
        ],
        {"samples": ["batch", 8]},
        {"embedding": ["batch", 8]},
        constants,
    )
    layers = find_layers(Graph(model))
    answers = iter([False, True])
    ratios = alone.ratios_alone(model, layers, threads=1, late=lambda: next(answers))
    assert list(ratios) == ["one", "two"]
    assert ratios["one"] != 1.0
    assert ratios["two"] == 1.0
