"""The graph that calibration rewrites."""

from __future__ import annotations

import numpy as np
from onnx import helper

from mmedge.calibration.graph import Graph
from tests.fakes import onnx_model


def test_a_constant_keeps_its_shape_a_scalar_too() -> None:
    """TensorRT takes a scale of shape [1] for one per channel, and fuses nothing."""
    nodes = [helper.make_node("Identity", ["samples"], ["embedding"], name="same")]
    graph = Graph(onnx_model(nodes, {"samples": ["batch", 2]}, {"embedding": ["batch", 2]}))
    graph.add_constant("scale", np.asarray(0.5, np.float32))
    graph.add_constant("turned", np.arange(6, dtype=np.float32).reshape(2, 3).T)
    assert tuple(graph.constants["scale"].dims) == ()
    np.testing.assert_array_equal(graph.constant("turned"), [[0, 3], [1, 4], [2, 5]])
