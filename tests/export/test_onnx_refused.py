"""ONNX files that cannot become an encoder: each says why, and nothing is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")

from onnx import TensorProto, helper  # noqa: E402

from mmedge.errors import (  # noqa: E402
    ArtefactError,
    ConfigError,
    IncompatibleError,
    MmedgeError,
)
from mmedge.export import Encoder, OnnxFile  # noqa: E402
from tests.export.onnx_files import drawn, node, scripted  # noqa: E402
from tests.export.recipes import Flat, Head, export_to, listing, one_picture  # noqa: E402

pytestmark = pytest.mark.torch

X, Y = {"x": ["n", 3, 4, 4]}, {"y": ["n", 48]}
FLATTEN = node("Flatten", ["x"], "y")


def flat(path: Path, **changes: Any) -> Path:
    """The simplest file that is fine."""
    return drawn(path, [FLATTEN], X, Y, **changes)


def bytes_of(path: Path, change: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(change(flat(path).read_bytes()))
    return path


def absent(path: Path) -> Path:
    return path


def another_domain(path: Path) -> Path:
    return drawn(path, [node("FusedGelu", ["x"], "y", domain="com.microsoft")], X, Y)


def weights_elsewhere(path: Path) -> Path:
    model = onnx.load(scripted(path, Flat(), torch.zeros(1, 3, 4, 4)))
    for tensor in model.graph.initializer:
        if tensor.raw_data:
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="../../etc/shadow")
    path.write_bytes(model.SerializeToString())
    return path


def newer_than_onnx(path: Path) -> Path:
    model = onnx.load(flat(path))
    model.opset_import[0].version = 999
    path.write_bytes(model.SerializeToString())
    return path


def branching(path: Path) -> Path:
    out = helper.make_tensor_value_info("b", TensorProto.FLOAT, None)
    branches = {
        f"{which}_branch": helper.make_graph([node(kind, ["flat"], "b")], which, [], [out])
        for which, kind in (("then", "Exp"), ("else", "Neg"))
    }
    nodes = [
        node("Flatten", ["x"], "flat"),
        node("ReduceMax", ["x"], "largest", keepdims=0),
        node("Cast", ["largest"], "positive", to=TensorProto.BOOL),
        node("If", ["positive"], "y", **branches),
    ]
    return drawn(path, nodes, X, Y)


def random(path: Path) -> Path:
    nodes = [
        node("Flatten", ["x"], "flat"),
        node("RandomNormalLike", ["flat"], "noise"),
        node("Add", ["flat", "noise"], "y"),
    ]
    return drawn(path, nodes, X, Y)


def not_in_tensorrts_table(path: Path) -> Path:
    nodes = [
        node("Flatten", ["x"], "flat"),
        node("Det", ["x"], "areas"),
        node("Slice", ["flat", "from", "to", "axis"], "most"),
        node("Concat", ["most", "areas"], "y", axis=1),
    ]
    ranges = {"from": np.int64([3]), "to": np.int64([48]), "axis": np.int64([1])}
    return drawn(path, nodes, X, Y, ranges)


def batch_of_four(path: Path) -> Path:
    return drawn(path, [FLATTEN], {"x": [4, 3, 4, 4]}, {"y": [4, 48]})


def first_row_only(path: Path) -> Path:
    nodes = [node("Gather", ["x", "zero"], "row", axis=0), node("Reshape", ["row", "to"], "y")]
    return drawn(path, nodes, X, Y, {"zero": np.int64(0), "to": np.int64([1, 48])})


def a_map_comes_out(path: Path) -> Path:
    zip_map = node("ZipMap", ["flat"], "y", domain="ai.onnx.ml", classlabels_int64s=list(range(48)))
    return drawn(path, [node("Flatten", ["x"], "flat"), zip_map], X, Y, opset=3)


def bomb(path: Path) -> Path:
    nodes = [
        node("ConstantOfShape", ["shape"], "huge"),
        node("ReduceMax", ["huge"], "most", keepdims=0),
        node("Flatten", ["x"], "flat"),
        node("Add", ["flat", "most"], "y"),
    ]
    return drawn(path, nodes, X, Y, {"shape": np.int64([2**20, 2**20, 2**10])})


def cast_bytes(path: Path, kind: str, **attributes: Any) -> Path:
    """Takes uint8, and does this with it first."""
    nodes = [
        node(kind, ["x"], "a", **attributes),
        node("Cast", ["a"], "b", to=TensorProto.FLOAT),
        node("Flatten", ["b"], "y"),
    ]
    return drawn(path, nodes, X, Y, kinds={"x": TensorProto.UINT8})


FILES: dict[str, tuple[Callable[[Path], Path], type[MmedgeError], str]] = {
    "not there": (absent, ConfigError, "there is no ONNX file"),
    "empty": (lambda p: bytes_of(p, lambda _: b""), ArtefactError, "is empty; was it copied"),
    "text": (lambda p: bytes_of(p, lambda _: b"hello there"), ArtefactError, "is not an ONNX file"),
    "half": (lambda p: bytes_of(p, lambda b: b[: len(b) // 2]), ArtefactError, "a.onnx"),
    "zeros": (lambda p: bytes_of(p, lambda b: bytes(len(b))), ArtefactError, "is not an ONNX file"),
    "unsorted": (
        lambda p: drawn(p, [FLATTEN, node("Exp", ["later"], "z")], X, Y),
        ArtefactError,
        "breaks the rules of ONNX",
    ),
    "external": (weights_elsewhere, IncompatibleError, "keeps weights in another file ('../../etc"),
    "domain": (another_domain, IncompatibleError, "uses FusedGelu of the domain 'com.microsoft'"),
    "map": (a_map_comes_out, IncompatibleError, "uses ZipMap of the domain 'ai.onnx.ml'"),
    "newer": (newer_than_onnx, IncompatibleError, "has opset 999, and the installed onnx knows"),
    "branches": (branching, IncompatibleError, "needs the operator If (whose condition depends"),
    "operator": (not_in_tensorrts_table, IncompatibleError, "needs the operator Det"),
    "bytes": (
        lambda p: cast_bytes(p, "Transpose", perm=[0, 2, 3, 1]),
        IncompatibleError,
        "input 'x' is uint8 and is not cast at once, which TensorRT does not import",
    ),
    "four": (batch_of_four, ConfigError, "A batch other than 1 must not be fixed"),
    "one row": (first_row_only, IncompatibleError, "batch of the ONNX file cannot be made dynamic"),
    "bomb": (bomb, MmedgeError, "a.onnx"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(kind: str, tmp_path: Path) -> None:
    make, error, words = FILES[kind]
    path = make(tmp_path / "a.onnx")
    before = listing(tmp_path)
    with pytest.raises(error, match=re.escape(words)):
        export_to(tmp_path, one_picture(OnnxFile(path), Head(width=48)))
    assert listing(tmp_path) == before


def test_random_numbers_are_noticed_before_anything_is_made_of_them(tmp_path: Path) -> None:
    with pytest.raises(MmedgeError, match="another answer each time"):
        export_to(tmp_path, one_picture(OnnxFile(random(tmp_path / "a.onnx"))))


def drawn_pair(path: Path) -> OnnxFile:
    nodes = [node("Flatten", ["x"], "flat"), node("Mul", ["flat", "rate"], "y")]
    return OnnxFile(drawn(path, nodes, {**X, "rate": []}, Y))


CALLS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "unknown constant": (
        lambda p: OnnxFile(flat(p), constants={"rate": 1}),
        "OnnxFile(constants=...) names 'rate', but ",
    ),
    "unknown input": (
        lambda p: OnnxFile(flat(p), inputs=("a",)),
        "OnnxFile(inputs=...) names 'a', but ",
    ),
    "too many inputs": (
        drawn_pair,
        "takes x, rate, and the modality feeds 1 of them. Fix the others with OnnxFile(constants",
    ),
    "other sizes": (
        lambda p: OnnxFile(drawn(p, [FLATTEN], {"x": ["n", 4, 4, 3]}, Y)),
        "is given [1, 3, 4, 4]. Are the modality's sizes those of the training? A file from Tens",
    ),
    "unknown output": (
        lambda p: Encoder(module=OnnxFile(flat(p)), output="z"),
        "a dict with 'y'; Encoder(..., output=...) 'z' is not there",
    ),
    "no bytes": (
        lambda p: OnnxFile(cast_bytes(p, "Cast", to=TensorProto.FLOAT)),
        "takes bytes, but the front-end gives other numbers; with Image(scale=1.0) it hands",
    ),
    "four dimensions": (
        lambda p: OnnxFile(drawn(p, [node("Exp", ["x"], "y")], X, {"y": ["n", 3, 4, 4]})),
        "returned float32 [B, 3, 4, 4]; float32 [B, D] or [B, T, D] was expected",
    ),
}


@pytest.mark.parametrize("kind", CALLS)
def test_what_does_not_fit_the_file_is_said_in_its_words(kind: str, tmp_path: Path) -> None:
    make, words = CALLS[kind]
    encoder = make(tmp_path / "a.onnx")
    with pytest.raises(ConfigError, match=re.escape(words)):
        export_to(tmp_path, one_picture(encoder, Head(width=48)))
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
