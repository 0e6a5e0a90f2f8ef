from __future__ import annotations

import numpy as np
import onnx
import pytest

from mmedge.bundle import Bundle
from mmedge.proof.taps import with_output
from mmedge.runtime.backends import open_backend
from tests.fakes import encoder_graph, onnx_model


@pytest.mark.parametrize("name", ["front_end", "x" * 127, "x" * 128, "x" * 20_000, "größe"])
def test_the_result_is_the_one_of_the_onnx_package(name: str) -> None:
    model = encoder_graph()
    expected = onnx.load_model_from_string(model)
    expected.graph.output.add(name=name)
    assert onnx.load_model_from_string(with_output(model, name)) == expected


def test_the_inner_value_comes_out_beside_the_others() -> None:
    with open_backend("cpu", with_output(encoder_graph(), "front_end"), what="g") as backend:
        out = backend.run({"samples": np.float32([[1, 2], [3, 4]])})
    assert [spec.name for spec in backend.spec.outputs] == ["embedding", "front_end"]
    assert out["front_end"].tolist() == [[2, 4], [6, 8]]
    assert out["embedding"].tolist() == [[3, 5], [7, 9]]


def test_several_values_may_be_tapped() -> None:
    model = with_output(with_output(encoder_graph(), "front_end"), "sum")
    with open_backend("cpu", model, what="g") as backend:
        assert [spec.name for spec in backend.spec.outputs] == ["embedding", "front_end", "sum"]


def test_the_shipped_encoders_can_be_tapped(demo: Bundle) -> None:
    for name in ("camera", "mic"):
        model = demo.read(demo.manifest.plans["fp32"].graphs[name])
        expected = onnx.load_model_from_string(model)
        expected.graph.output.add(name="front_end")
        tapped = with_output(model, "front_end")
        assert onnx.load_model_from_string(tapped) == expected
        with open_backend("cpu", tapped, what=name) as backend:
            assert backend.spec.outputs[-1].name == "front_end"


def test_the_model_itself_is_left_as_it_was() -> None:
    model = onnx_model([onnx.helper.make_node("Neg", ["x"], ["y"])], {"x": ["batch", 1]}, {})
    before = bytes(model)
    with_output(model, "y")
    assert model == before
