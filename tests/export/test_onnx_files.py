"""Encoders that exist only as an ONNX file: made like ours, and held against the file itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")

from onnx import TensorProto, helper  # noqa: E402
from torch import nn  # noqa: E402

from mmedge.bundle import Bundle  # noqa: E402
from mmedge.export import Encoder, OnnxFile  # noqa: E402
from mmedge.operators import ALLOWED  # noqa: E402
from mmedge.proof.trust import load_golden  # noqa: E402
from mmedge.runtime.predictor import Predictor  # noqa: E402
from mmedge.specs import Image, LogMel, Signal, Sound, Text  # noqa: E402
from tests.export.onnx_files import Stem, drawn, node, scripted, traced  # noqa: E402
from tests.export.recipes import (  # noqa: E402
    PIXELS,
    TOKENIZER,
    WORDS,
    Flat,
    Head,
    export_to,
    one_picture,
)

pytestmark = pytest.mark.torch


def graph_of(bundle: Bundle, name: str = "camera") -> onnx.ModelProto:
    return onnx.load_from_string(bundle.read(bundle.manifest.plans["fp32"].graphs[name]))


def is_like_ours(model: onnx.ModelProto) -> None:
    assert (model.ir_version, model.producer_name) == (10, "mmedge")
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 20)]
    assert len(model.functions) == 0
    assert {(n.domain, n.op_type) for n in model.graph.node} <= {("", each) for each in ALLOWED}
    for value in (*model.graph.input, *model.graph.output):
        first, *rest = value.type.tensor_type.shape.dim
        assert first.dim_param == "batch"
        assert all(dim.dim_value > 0 for dim in rest)
    read = {name for n in model.graph.node for name in n.input}
    assert {tensor.name for tensor in model.graph.initializer} <= read
    names = [n.name for n in model.graph.node]
    assert len(set(names)) == len(names)
    assert all(n.op_type in n.name for n in model.graph.node)
    assert all(n.name.startswith(("encoder", "front_end")) for n in model.graph.node)


@pytest.mark.parametrize("opset", [9, 11, 13, 17])
@pytest.mark.parametrize("free", [False, True], ids=["batch of 1", "free batch"])
def test_a_file_of_any_opset_comes_out_like_ours_with_a_free_batch(
    opset: int, free: bool, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    stem = Stem()
    path = scripted(tmp_path / "a.onnx", stem, torch.zeros(1, 3, 4, 4), free=free, opset=opset)
    made = export_to(tmp_path, one_picture(OnnxFile(path)))
    assert made.parity.passed
    assert {f.batch for f in made.parity.findings if f.point == "camera/embedding"} == {1, 2, 5}
    model = graph_of(made.bundle)
    is_like_ours(model)
    # Not only the same as the file: the same as the module that the file was made of.
    golden = load_golden(made.bundle)
    pixels = torch.from_numpy(golden.inputs["camera"]["frames"]).permute(0, 3, 1, 2) / 255
    expected = stem.eval()(pixels).detach().numpy()
    np.testing.assert_allclose(golden.embeddings["camera"]["camera"], expected, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 1e-3
    assert "encoder.lstm/LSTM" in {n.name for n in model.graph.node}


def test_a_file_of_the_newer_exporter_keeps_its_module_names(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = traced(tmp_path / "a.onnx", Stem(), torch.zeros(1, 3, 4, 4))
    made = export_to(tmp_path, one_picture(OnnxFile(path)))
    assert made.parity.passed
    model = graph_of(made.bundle)
    is_like_ours(model)
    assert any(n.name == "encoder.lstm/LSTM" for n in model.graph.node)


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = scripted(tmp_path / "a.onnx", Stem(), torch.zeros(1, 3, 4, 4))
    made = [
        export_to(tmp_path, one_picture(OnnxFile(path)), out=tmp_path / f"{name}.mmedge")
        for name in "ab"
    ]
    files = [each.bundle.manifest.files for each in made]
    assert list(files[0]) == list(files[1])


def test_the_path_is_relative_to_the_recipe_and_the_file_counts_as_weights(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    digests = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        scripted(tmp_path / "models/a.onnx", Flat(), torch.zeros(1, 3, 4, 4))
        recipe = one_picture(OnnxFile("models/a.onnx"), folder=tmp_path)
        made = export_to(tmp_path, recipe, out=tmp_path / f"{seed}.mmedge")
        digests.append(made.bundle.manifest.weights_sha256)
        assert any("encoder 'camera' is a.onnx" in note for note in made.parity.notes)
    assert digests[0] != digests[1]


def test_pictures_go_in_with_channels_last_and_in_the_files_own_type(tmp_path: Path) -> None:
    nodes = [
        node("Cast", ["bytes"], "floats", to=TensorProto.FLOAT),
        node("ReduceMean", ["floats"], "mean", axes=[1, 2], keepdims=0),
    ]
    sizes = {"bytes": [1, 4, 4, 3]}, {"mean": [1, 3]}
    path = drawn(tmp_path / "a.onnx", nodes, *sizes, kinds={"bytes": TensorProto.UINT8})
    picture = Image(height=4, width=4, scale=1.0)  # nothing is done to the pixels
    recipe = one_picture(
        OnnxFile(path, channels_last=True), Head(width=3), modalities={"camera": picture}
    )
    made = export_to(tmp_path, recipe)
    graph = graph_of(made.bundle)
    is_like_ours(graph)
    # TensorRT has no bytes inside a graph: they become floats once, at its beginning.
    assert [n.name for n in graph.graph.node if n.op_type == "Cast"] == ["front_end/Cast"]
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    with Predictor(made.bundle) as predictor:
        frames = predictor.prepare("camera", red)["frames"][None]
        (came,) = predictor.encode("camera", {"frames": frames}).values()
    np.testing.assert_array_equal(came, [[200, 0, 0]])


SEES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "log-mel": (
        Sound(rate_hz=1000, window_ms=64, hop_ms=64, log_mel=LogMel(mels=4, fft_size=16, hop=16)),
        (4, 5),
    ),
    "samples": (Sound(rate_hz=1000, window_ms=64, hop_ms=64), (64,)),
    "signal": (
        Signal(channels=3, rate_hz=100, window_ms=80, hop_ms=80, mean=(1.0,), std=(2.0,)),
        (8, 3),
    ),
    "clip": (Image(height=4, width=4, frames=2), (2, 3, 4, 4)),
}


@pytest.mark.parametrize("kind", SEES)
def test_the_front_end_of_the_modality_stands_before_the_file(kind: str, tmp_path: Path) -> None:
    modality, shape = SEES[kind]
    torch.manual_seed(0)
    flat = Flat(int(np.prod(shape)))
    path = scripted(tmp_path / "a.onnx", flat, torch.zeros(1, *shape))
    made = export_to(tmp_path, one_picture(OnnxFile(path), modalities={"camera": modality}))
    assert made.parity.passed
    is_like_ours(graph_of(made.bundle))
    golden = load_golden(made.bundle)
    seen = golden.front_ends.get("camera", golden.inputs["camera"].get("samples"))
    assert seen is not None
    assert seen.shape[1:] == shape
    expected = flat(torch.from_numpy(np.asarray(seen))).detach().numpy()
    np.testing.assert_allclose(golden.embeddings["camera"]["camera"], expected, atol=1e-5)


class Scale(nn.Module):
    def forward(self, frames: Any) -> Any:
        return frames.float().flatten(1) / 10


def test_a_front_end_of_the_users_own_stands_before_the_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = scripted(tmp_path / "a.onnx", Flat(), torch.zeros(1, 48))
    encoder = Encoder(module=OnnxFile(path), front_end=Scale())
    made = export_to(tmp_path, one_picture(encoder))
    assert made.parity.passed
    assert {n.name.partition("/")[0] for n in graph_of(made.bundle).graph.node} == {
        "front_end",
        "encoder",
        "encoder.linear",
    }


def test_a_text_file_takes_ids_and_mask_and_the_rest_is_fixed(tmp_path: Path) -> None:
    table = np.random.default_rng(0).normal(size=(WORDS, 4)).astype(np.float32)
    nodes = [
        node("Gather", ["table", "ids"], "words"),
        node("Gather", ["kinds", "segment"], "added"),
        node("Add", ["words", "added"], "sum"),
        node("Cast", ["attention_mask"], "here", to=TensorProto.FLOAT),
        node("Unsqueeze", ["here", "two"], "columns"),
        node("Mul", ["sum", "columns"], "kept"),
        node("Identity", ["kept"], "hidden"),
    ]
    path = drawn(
        tmp_path / "a.onnx",
        nodes,
        {"attention_mask": ["n", "t"], "ids": ["n", "t"], "segment": ["n", "t"]},
        {"hidden": ["n", "t", 4], "kept": ["n", "t", 4]},
        {"table": table, "kinds": np.ones((2, 4), np.float32), "two": np.int64([2])},
        kinds=dict.fromkeys(("attention_mask", "ids", "segment"), TensorProto.INT32),
    )
    file = OnnxFile(path, constants={"segment": np.zeros((1, 4))})
    text = Text(tokenizer=str(TOKENIZER), max_tokens=4)
    recipe = one_picture(
        modalities={"hint": text},
        encoders={"hint": Encoder(module=file, output="hidden")},
        fusion=Pooled(),
    )
    made = export_to(tmp_path, recipe)
    assert made.parity.passed
    assert any("takes ids and mask as ids, attention_mask" in note for note in made.parity.notes)
    graph = graph_of(made.bundle, "hint")
    is_like_ours(graph)
    assert [value.name for value in graph.graph.output] == ["tokens"]
    with Predictor(made.bundle) as predictor:
        feeds = {k: a[None] for k, a in predictor.prepare("hint", "odd even").items()}
        (came,) = predictor.encode("hint", feeds).values()
    np.testing.assert_allclose(came[0, :2], table[[3, 2]] + 1, atol=1e-6)
    np.testing.assert_array_equal(came[0, 2:], 0)


class Pooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = Head()

    def forward(self, inputs: dict[str, Any], presence: Any) -> Any:
        return self.head({name: tokens.mean(1) for name, tokens in inputs.items()}, presence)


def test_a_branch_that_a_constant_takes_is_taken_for_good(tmp_path: Path) -> None:
    def branch(name: str, factor: float) -> Any:
        constant = helper.make_tensor(f"{name}_factor", TensorProto.FLOAT, [], [factor])
        inside = [
            node("Constant", [], f"{name}_c", value=constant),
            node("Mul", ["flat", f"{name}_c"], f"{name}_y"),
        ]
        out = helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, None)
        return helper.make_graph(inside, name, [], [out])

    nodes = [
        node("Flatten", ["x"], "flat"),
        node("Equal", ["rate", "fast"], "is_fast"),
        node("If", ["is_fast"], "y", then_branch=branch("a", 3.0), else_branch=branch("b", 7.0)),
    ]
    path = drawn(
        tmp_path / "a.onnx",
        nodes,
        {"x": ["n", 3, 4, 4], "rate": []},
        {"y": ["n", 48]},
        {"fast": np.int64(16)},
        kinds={"rate": TensorProto.INT64},
    )
    for rate, factor in ((16, 3.0), (8, 7.0)):
        recipe = one_picture(OnnxFile(path, constants={"rate": rate}), Head(width=48))
        made = export_to(tmp_path, recipe, replace=True)
        golden = load_golden(made.bundle)
        flat = golden.front_ends["camera"].reshape(-1, 48)
        np.testing.assert_allclose(golden.embeddings["camera"]["camera"], flat * factor, rtol=1e-6)
        is_like_ours(graph_of(made.bundle))


def test_functions_are_inlined(tmp_path: Path) -> None:
    twice = helper.make_function(
        "mine", "Twice", ["a"], ["b"], [node("Add", ["a", "a"], "b")], [helper.make_opsetid("", 17)]
    )
    nodes = [node("Flatten", ["x"], "flat"), node("Twice", ["flat"], "y", domain="mine")]
    path = drawn(
        tmp_path / "a.onnx", nodes, {"x": ["n", 3, 4, 4]}, {"y": ["n", 48]}, functions=[twice]
    )
    made = export_to(tmp_path, one_picture(OnnxFile(path), Head(width=48)))
    assert made.parity.passed
    is_like_ours(graph_of(made.bundle))


def test_only_the_encoder_that_is_a_file_can_be_replaced(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = scripted(tmp_path / "a.onnx", Flat(), torch.zeros(1, 3, 4, 4))
    before = export_to(tmp_path, one_picture(OnnxFile(path))).bundle.manifest
    scripted(path, nn.Sequential(Flat(), nn.Tanh()), torch.zeros(1, 3, 4, 4))
    after = export_to(tmp_path, one_picture(OnnxFile(path)), only="camera").bundle.manifest
    files = [each.plans["fp32"].graphs for each in (before, after)]
    assert files[0]["fusion"] == files[1]["fusion"]
    assert files[0]["camera"] != files[1]["camera"]
    assert before.weights_sha256 != after.weights_sha256


def test_two_modalities_may_share_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    file = OnnxFile(scripted(tmp_path / "a.onnx", Flat(), torch.zeros(1, 3, 4, 4)))
    recipe = one_picture(
        modalities={"left": PIXELS, "right": PIXELS},
        encoders={"left": file, "right": file},
        fusion=Head(2),
    )
    graphs = export_to(tmp_path, recipe).bundle.manifest.plans["fp32"].graphs
    assert graphs["left"].sha256 == graphs["right"].sha256
