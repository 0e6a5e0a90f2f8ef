"""What every graph has to be, whatever model it came from."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import onnx

from mmedge.models import AttentionFusion, ConcatenationFusion, GatedFusion
from mmedge.operators import ALLOWED
from tests.export.recipes import contents, export_to, seeing_hearing_reading

pytestmark = pytest.mark.torch

ROOT = Path(__file__).resolve().parents[2]
BUNDLES = [
    pytest.param(head, tokens, id=f"{head.__name__}-{'tokens' if tokens else 'pooled'}")
    for head in (ConcatenationFusion, GatedFusion, AttentionFusion)
    for tokens in (False, True)
]
every_bundle = pytest.mark.parametrize(("head", "tokens"), BUNDLES)

AGAIN = """
import sys
from pathlib import Path
from mmedge.models import AttentionFusion
from tests.export.recipes import export_to, seeing_hearing_reading
out = Path(sys.argv[1]) / "attentionfusion-tokens.mmedge"
recipe = seeing_hearing_reading(AttentionFusion, tokens=True)
export_to(out.parent, recipe, out=out, samples=4)
"""


@pytest.fixture
def graphs(head: type, tokens: bool, exported: Callable[..., Any]) -> dict[str, Any]:
    bundle = exported(head, tokens=tokens).bundle
    plan = bundle.manifest.plans["fp32"]
    assert list(plan.graphs) == ["camera", "mic", "hint", "fusion"]
    return {name: onnx.load_from_string(bundle.read(ref)) for name, ref in plan.graphs.items()}


@every_bundle
def test_opset_20_and_ir_version_10_and_nothing_but_plain_onnx(graphs: dict[str, Any]) -> None:
    for model in graphs.values():
        assert model.ir_version == 10
        assert [(each.domain, each.version) for each in model.opset_import] == [("", 20)]
        assert len(model.functions) == 0
        assert {node.domain for node in nodes_of(model.graph)} == {""}
        assert {node.op_type for node in nodes_of(model.graph)} <= ALLOWED


@every_bundle
def test_the_weights_are_inside(graphs: dict[str, Any]) -> None:
    for name, model in graphs.items():
        assert len(model.graph.initializer) > 0, name
        for tensor in model.graph.initializer:
            assert tensor.data_location == onnx.TensorProto.DEFAULT
            assert len(tensor.external_data) == 0
            assert np.prod(onnx.numpy_helper.to_array(tensor).shape) == np.prod(tensor.dims)


@every_bundle
def test_only_the_batch_is_dynamic_on_every_input_and_output(graphs: dict[str, Any]) -> None:
    for model in graphs.values():
        for value in (*model.graph.input, *model.graph.output):
            first, *rest = value.type.tensor_type.shape.dim
            assert (first.dim_param, first.HasField("dim_value")) == ("batch", False)
            assert all(dim.dim_value > 0 for dim in rest)


@every_bundle
def test_nothing_tells_of_the_machine_or_of_torch(graphs: dict[str, Any]) -> None:
    for model in graphs.values():
        assert (model.producer_name, model.producer_version) == ("mmedge", "")
        assert (model.doc_string, model.graph.doc_string) == ("", "")
        assert len(model.metadata_props) == len(model.graph.metadata_props) == 0
        assert len(model.graph.value_info) == 0
        parts = (*nodes_of(model.graph), *model.graph.initializer)
        for part in (*parts, *model.graph.input, *model.graph.output):
            assert (len(part.metadata_props), part.doc_string) == (0, "")


@every_bundle
def test_no_path_stands_in_any_file(head: type, tokens: bool, exported: Callable[..., Any]) -> None:
    bundle = exported(head, tokens=tokens).bundle
    home = str(Path.home()).encode()
    for name, data in contents(bundle.path).items():
        for trace in (b".py", b'File "', b"site-packages", str(ROOT).encode(), home, b"pytest-of"):
            assert trace not in data, (name, trace)


@every_bundle
def test_nodes_are_named_after_their_module_and_operator(graphs: dict[str, Any]) -> None:
    for model in graphs.values():
        names = [node.name for node in model.graph.node]
        assert len(set(names)) == len(names)
        assert all(node.op_type in node.name for node in model.graph.node)
        for node in model.graph.node:
            assert {value.split(":")[0] for value in node.output} <= {node.name, *ends(model)}
    camera = {node.name for node in graphs["camera"].graph.node}
    # The batch normalisation is folded into the convolution and lends it its name.
    assert {
        "front_end/Transpose",
        "encoder.features.0.1/Conv",
        "encoder.norm/LayerNormalization",
    } <= camera
    assert "encoder.lstm/LSTM" in {node.name for node in graphs["hint"].graph.node}
    fusion = {node.name for node in graphs["fusion"].graph.node}
    assert {"Gather", "Where", "head.heads.digit/Gemm"} <= fusion


@every_bundle
def test_weights_carry_the_names_of_the_checkpoint(graphs: dict[str, Any]) -> None:
    names = {tensor.name for tensor in graphs["fusion"].graph.initializer}
    assert {"head.heads.digit.weight", "head.heads.digit.bias"} <= names
    names = {tensor.name for tensor in graphs["camera"].graph.initializer}
    assert {"front_end.factor", "encoder.features.0.0.weight", "encoder.norm.weight"} <= names


def test_two_exports_are_the_same_to_the_byte(tmp_path: Path, exported: Callable[..., Any]) -> None:
    first = exported(ConcatenationFusion, tokens=False).bundle
    recipe = seeing_hearing_reading(ConcatenationFusion)
    again = export_to(tmp_path, recipe, out=tmp_path / first.path.name, samples=4).bundle
    assert contents(again.path) == contents(first.path)
    assert len(contents(first.path)) == 8  # four graphs, golden, report, tokenizer, manifest


def test_another_process_with_another_hash_seed_gives_the_same_bytes(
    tmp_path: Path, exported: Callable[..., Any]
) -> None:
    first = exported(AttentionFusion, tokens=True).bundle
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    subprocess.run(
        [sys.executable, "-W", "error", "-c", AGAIN, str(tmp_path)],
        env={**os.environ, "PYTHONHASHSEED": seed},
        cwd=ROOT,
        check=True,
        timeout=100,
    )
    assert contents(tmp_path / first.path.name) == contents(first.path)


def ends(model: Any) -> set[str]:
    return {"front_end", *(value.name for value in model.graph.output)}


def nodes_of(graph: Any) -> Iterator[Any]:
    """All nodes, those inside If and Loop too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from nodes_of(attribute.g)
