"""Graphs that reach for files outside the bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mmedge.errors import ArtefactError
from mmedge.runtime.backends import open_backend
from mmedge.runtime.backends.external import has_external_data


def outside(path: Path) -> onnx.TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", str(path)
    return tensor


def adding(weights: list[onnx.TensorProto], nodes: list[onnx.NodeProto]) -> bytes:
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 4]) for n in "xy")
    nodes = [*nodes, helper.make_node("Add", ["x", "w"], ["y"])]
    graph = helper.make_graph(nodes, "g", [x], [y], weights)
    opset = helper.make_opsetid("", 20)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10).SerializeToString()


def test_weights_inside_the_file_are_fine() -> None:
    tensor = numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")
    model = adding([tensor], [])
    assert not has_external_data(model)
    with open_backend("cpu", model, what="graph") as backend:
        out = backend.run({"x": np.zeros((1, 4), np.float32)})["y"]
    assert out.tolist() == [[0.0, 1.0, 2.0, 3.0]]


def test_an_initializer_in_another_file_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.arange(4, dtype=np.float32).tobytes())
    with pytest.raises(ArtefactError, match="keeps weights in another file"):
        open_backend("cpu", adding([outside(secret)], []), what="graph")


def test_a_constant_in_another_file_is_found_inside_a_subgraph(tmp_path: Path) -> None:
    constant = helper.make_node("Constant", [], ["c"], value=outside(tmp_path / "secret.bin"))
    branch = helper.make_graph(
        [constant], "b", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [4])]
    )
    choice = helper.make_node("If", ["x"], ["w"], then_branch=branch, else_branch=branch)
    assert has_external_data(adding([], [choice]))


@pytest.mark.parametrize("data", [b"\x3a\xff", b"\xff" * 12, b"not an onnx file at all", b"\x3a"])
def test_what_is_no_protobuf_is_refused(data: bytes) -> None:
    with pytest.raises(ArtefactError, match="graph is not an ONNX file"):
        open_backend("cpu", data, what="graph")
