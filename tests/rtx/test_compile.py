"""Every graph that is exported compiles with TensorRT-RTX, on a machine without a GPU.

A pass means: valid for NVIDIA's parser and compiler. It does not mean that the engine runs,
or is fast, on a device.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import onnx
import pytest

trt = pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install 'mmedge[rtx]'"
)

from mmedge.bundle import Bundle, open_bundle  # noqa: E402
from mmedge.engines.builder import Compiled  # noqa: E402
from mmedge.errors import IncompatibleError  # noqa: E402
from tests.rtx.auditing import audited, compile_graph  # noqa: E402

pytestmark = [pytest.mark.rtx, pytest.mark.timeout(300)]

DEMO = Path(__file__).resolve().parents[2] / "mmedge/demo/digits.mmedge"
GRAPHS = ("camera", "mic", "hint", "fusion")


# It reminds of the type of token ids, that an encoder may not look at its mask, and that it
# makes FP32 of FP16 scales.
REMINDERS = (
    "has Int64 binding",
    "Unused Input: mask",
    "Input Tensor mask is unused",
    "Converting conv activation scales to fp32",
    "Converting conv weight scales to fp32",
)


def check(model: bytes, int8: Collection[str] = ()) -> Compiled:
    """Check, compile and audit a graph; the compiler has nothing to say but reminders."""
    compiled, _ = audited(model, int8)
    assert [each for each in compiled.warnings if not any(word in each for word in REMINDERS)] == []
    assert len(compiled.engine) > 1000
    return compiled


def graph_of(bundle: Bundle, graph: str) -> bytes:
    return bundle.read(bundle.manifest.plans["fp32"].graphs[graph])


def kept_graphs() -> list[Any]:
    """Every graph that other tiers left behind for TensorRT (see `tests/export/conftest.py`), once.

    Those of the plan `fp32`, that is: what is lowered is promised otherwise.
    """
    kept = os.environ.get("MMEDGE_KEEP_BUNDLES")
    files = []
    for manifest in sorted(Path(kept).glob("*.mmedge/manifest.json")) if kept else ():
        plan = json.loads(manifest.read_text("utf-8"))["plans"]["fp32"]
        files += [manifest.parent / each["name"] for each in plan["graphs"].values()]
    # A graph's name ends with its content's hash; two modalities may share one encoder.
    once = {file.stem.rpartition("-")[2]: file for file in reversed(files)}
    return [pytest.param(file, id=f"{file.parent.stem}-{file.name}") for file in once.values()]


@pytest.mark.parametrize("graph", kept_graphs())
def test_whatever_the_other_tests_exported_compiles(graph: Path) -> None:
    check(graph.read_bytes())


def test_the_other_tests_left_their_graphs_where_that_was_asked_for() -> None:
    kept = os.environ.get("MMEDGE_KEEP_BUNDLES")
    assert kept is None or len(kept_graphs()) > 50


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_demo_compiles(graph: str) -> None:
    check(graph_of(open_bundle(DEMO), graph))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], Bundle]:
    pytest.importorskip("torch", reason="to export, torch is needed: pip install 'mmedge[export]'")
    from mmedge import models
    from tests.export.recipes import export_to, seeing_hearing_reading

    known: dict[tuple[str, bool], Bundle] = {}

    def export(head: str, tokens: bool) -> Bundle:
        if (head, tokens) not in known:
            recipe = seeing_hearing_reading(getattr(models, head), tokens=tokens)
            folder = tmp_path_factory.mktemp("exported")
            known[head, tokens] = export_to(folder, recipe, samples=1).bundle
        return known[head, tokens]

    return export


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize(
    ("head", "tokens"),
    [("ConcatenationFusion", False), ("GatedFusion", True), ("AttentionFusion", True)],
)
def test_mmedge_s_encoders_and_heads_compile(
    head: str, tokens: bool, graph: str, exported: Callable[[str, bool], Bundle]
) -> None:
    check(graph_of(exported(head, tokens), graph))


@pytest.mark.parametrize("name", ["whisper_log_mel", "clap_log_mel", "ast_log_mel"])
def test_the_log_mel_front_ends_compile(name: str) -> None:
    torch = pytest.importorskip("torch", reason="to export, torch is needed")
    from mmedge.models.log_mel import LogMelFrontEnd
    from mmedge.specs import presets
    from tests.models.front_ends import export

    front_end = LogMelFrontEnd(getattr(presets, name)(), 48_000).eval()
    check(export(front_end, torch.zeros(2, 48_000)).SerializeToString())


def turned_pixels(*, cast_first: bool) -> bytes:
    """A graph that puts channels first, before or after it makes floats of the bytes."""
    turn = {"perm": [0, 3, 1, 2]}
    to_float = {"to": onnx.TensorProto.FLOAT}
    order = [("Cast", to_float), ("Transpose", turn)]
    (one, first), (two, second) = order if cast_first else reversed(order)
    batch = ["batch", 4, 6, 3]
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node(one, ["frames"], ["inner"], **first),
            onnx.helper.make_node(two, ["inner"], ["pixels"], **second),
        ],
        "turned",
        [onnx.helper.make_tensor_value_info("frames", onnx.TensorProto.UINT8, batch)],
        [onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, ["batch", 3, 4, 6])],
    )
    opset = [onnx.helper.make_opsetid("", 20)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


def test_the_check_can_fail_transposed_bytes_are_refused() -> None:
    with pytest.raises(IncompatibleError, match=r"UInt8|Transpose"):
        compile_graph(turned_pixels(cast_first=False))
    assert compile_graph(turned_pixels(cast_first=True)).warnings == ()


def test_our_picture_front_end_casts_before_it_turns() -> None:
    bundle = open_bundle(DEMO)
    data = graph_of(bundle, "camera")
    operators = [node.op_type for node in onnx.load_from_string(data).graph.node]
    assert operators.index("Cast") < operators.index("Transpose")
    assert bundle.manifest.graphs["camera"].inputs[0].dtype == "uint8"
