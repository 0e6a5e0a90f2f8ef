"""FP16 of real graphs: the demo's, and a spectrogram fed with sound of any loudness.

ONNX Runtime casts to FP32 inside and cannot show an overflow. ONNX's reference evaluator can:
numpy rounds to FP16 after every node.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from mmedge.bundle import open_bundle
from mmedge.calibration.lowering import Lowered
from mmedge.calibration.rewrite.fp16 import lower_fp16
from tests.calibration.observed import Feeds, cosine, drawn, observe, session

DEMO = Path(__file__).resolve().parents[3] / "mmedge/demo/digits.mmedge"
GRAPHS = ("camera", "mic", "hint", "fusion")


def graph(name: str) -> bytes:
    bundle = open_bundle(DEMO)
    return bundle.read(bundle.manifest.plans["fp32"].graphs[name])


def signature(model: bytes) -> list[bytes]:
    file = onnx.load_from_string(model)
    return [each.SerializeToString() for each in (*file.graph.input, *file.graph.output)]


@cache
def lowered(name: str) -> Lowered:
    return lower_fp16(graph(name), observe(graph(name), drawn(graph(name), 8)))


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_the_demo_answers_the_same_in_fp16(name: str, batch: int) -> None:
    model, feeds = graph(name), drawn(graph(name), batch)
    result = lowered(name).model
    onnx.checker.check_model(onnx.load_from_string(result), full_check=True)
    assert signature(result) == signature(model)
    wanted = session(model).run(None, feeds)[0]
    for found in (
        session(result).run(None, feeds)[0],
        ReferenceEvaluator(result).run(None, dict(feeds))[0],
    ):
        assert found.dtype == np.float32
        assert cosine(wanted, found) > 0.9999


@pytest.mark.parametrize("name", GRAPHS)
def test_every_tensor_that_stays_float32_is_named_with_its_range(name: str) -> None:
    file = onnx.shape_inference.infer_shapes(onnx.load_from_string(lowered(name).model))
    types = {each.name: each.type.tensor_type.elem_type for each in file.graph.value_info}
    float32 = {
        node.name
        for node in file.graph.node
        if types.get(node.output[0]) == TensorProto.FLOAT and not node.name.endswith(".fp32/Cast")
    }
    assert float32 - {each.layer for each in lowered(name).kept} == set()
    assert all(" to " in each.why for each in lowered(name).kept)


def test_the_demo_s_front_end_stays_and_everything_that_multiplies_behind_it_does_not() -> None:
    stays = {each.layer: each.why for each in lowered("mic").kept}
    behind = {name: why for name, why in stays.items() if not why.startswith("front-end; ")}
    assert list(behind) == ["encoder/Unsqueeze"]  # in front of the first layer's cast
    sizes = [len(graph(name)) / len(lowered(name).model) for name in GRAPHS]
    assert min(sizes) > 1.5


def sounds() -> list[Feeds]:
    """One second at int16's scale, at a voice's, and next to nothing; float32 ``[4, 8000]``."""
    noise = np.random.default_rng(5).standard_normal((4, 8000))
    return [{"samples": (scale * noise).astype(np.float32)} for scale in (8000.0, 0.1, 1e-6)]


def unmarked() -> bytes:
    """The demo's sound encoder, as if nobody had told where its spectrogram ends."""
    file = onnx.load_from_string(graph("mic"))
    for node in file.graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == "front_end":
                    names[index] = "spectrogram"
    return bytes(file.SerializeToString())


@pytest.mark.parametrize("marked", [True, False])
def test_sound_of_any_loudness_is_understood_in_fp16(marked: bool) -> None:
    model = graph("mic") if marked else unmarked()
    seen = observe(model, *sounds())
    assert seen["front_end/Concat_2"].high > 1e10  # power
    assert observe(model, sounds()[2])["front_end/Concat_2"].high < 1e-8
    result = lower_fp16(model, seen)
    stays = {each.layer: each.why for each in result.kept}
    assert stays["front_end/Concat_2"].startswith(
        "front-end; 0 to " if marked else "small values decide in front_end/Log; 0 to "
    )
    layers = [n.name for n in onnx.load_from_string(result.model).graph.node if n.op_type == "Conv"]
    assert len(layers) == 4
    assert set(layers) & stays.keys() == set()
    for feeds in sounds():
        wanted = session(model).run(None, feeds)[0]
        for found in (
            session(result.model).run(None, feeds)[0],
            ReferenceEvaluator(result.model).run(None, dict(feeds))[0],
        ):
            assert cosine(wanted, found) > 0.9999
