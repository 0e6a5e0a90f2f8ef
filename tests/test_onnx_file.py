"""Graphs that reach for files outside the bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mmedge.errors import ArtefactError
from mmedge.onnx_file import check_onnx
from mmedge.runtime.backends import open_backend


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
    check_onnx(model, "graph")
    with open_backend("cpu", model, what="graph") as backend:
        out = backend.run({"x": np.zeros((1, 4), np.float32)})["y"]
    assert out.tolist() == [[0.0, 1.0, 2.0, 3.0]]


def test_an_initializer_in_another_file_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.arange(4, dtype=np.float32).tobytes())
    with pytest.raises(ArtefactError, match="keeps weights in another file"):
        open_backend("cpu", adding([outside(secret)], []), what="graph")


def test_a_constant_in_another_file_is_refused(tmp_path: Path) -> None:
    constant = helper.make_node("Constant", [], ["w"], value=outside(tmp_path / "secret.bin"))
    with pytest.raises(ArtefactError, match="keeps weights in another file"):
        check_onnx(adding([], [constant]), "graph")


def test_a_loop_is_refused_also_inside_a_branch() -> None:
    limit = numpy_helper.from_array(np.array(2**62), "n")
    body = helper.make_graph([], "b", [], [])
    loop = helper.make_node("Loop", ["n"], [], body=body)
    branch = helper.make_graph([loop], "c", [], [])
    with pytest.raises(ArtefactError, match="uses the operator 'Loop', which no bundle holds"):
        check_onnx(adding([limit], [loop]), "graph")
    with pytest.raises(ArtefactError, match="which no bundle holds"):
        check_onnx(adding([], [helper.make_node("If", ["x"], [], then_branch=branch)]), "graph")


def test_operators_of_another_domain_are_refused() -> None:
    node = helper.make_node("Add", ["x", "x"], ["w"], domain="com.microsoft")
    with pytest.raises(ArtefactError, match=r"operators of the domain 'com\.microsoft'"):
        check_onnx(adding([], [node]), "graph")


@pytest.mark.parametrize("end", ["größe", "y"])
def test_an_input_or_output_whose_name_is_no_text_is_refused(end: str) -> None:
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("größe", "y"))
    graph = helper.make_graph([helper.make_node("Neg", ["größe"], ["y"])], "g", [x], [y])
    opset = helper.make_opsetid("", 20)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10).SerializeToString()
    check_onnx(model, "graph")
    name = end.encode()
    field = b"\x0a" + bytes([len(name)])
    spoiled = model.replace(field + name, field + b"\xff" * len(name))
    with pytest.raises(ArtefactError, match=r"whose name is no text \(UTF-8\): 'ÿ"):
        check_onnx(spoiled, "graph")


@pytest.mark.parametrize(
    ("ir", "opset", "words"), [(11, 20, "IR version 11"), (10, 21, "opset 21")]
)
def test_a_newer_ir_or_opset_is_refused(ir: int, opset: int, words: str) -> None:
    model = onnx.load_from_string(
        adding([numpy_helper.from_array(np.zeros(4, np.float32), "w")], [])
    )
    model.ir_version = ir
    model.opset_import[0].version = opset
    with pytest.raises(ArtefactError, match=f"has {words}, newer than"):
        check_onnx(model.SerializeToString(), "graph")


@pytest.mark.parametrize(
    "data", [b"", b"\x3a\xff", b"\xff" * 12, b"not an onnx file at all", b"\x3a"]
)
def test_what_is_no_protobuf_is_refused(data: bytes) -> None:
    with pytest.raises(ArtefactError, match="graph is not an ONNX file"):
        open_backend("cpu", data, what="graph")
