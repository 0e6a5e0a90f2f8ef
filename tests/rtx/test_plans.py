"""INT8 plans compile with TensorRT-RTX, and compute in INT8 what they list, and nothing else.

A pass means: valid for NVIDIA's parser and compiler, which fuse as expected for SM86.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

trt = pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install 'mmedge[rtx]'"
)

from mmedge.bundle import open_bundle  # noqa: E402
from mmedge.calibration.channels import ChannelObserver  # noqa: E402
from mmedge.calibration.graph import Graph  # noqa: E402
from mmedge.calibration.layers import KINDS, find_layers  # noqa: E402
from mmedge.calibration.lowering import Lowered, Lowering  # noqa: E402
from mmedge.calibration.rewrite.easing import channel_axes, ease  # noqa: E402
from mmedge.calibration.rewrite.fp16 import lower_fp16  # noqa: E402
from mmedge.calibration.rewrite.tensorrt import lower_tensorrt  # noqa: E402
from mmedge.engines.layers import Fused, parse_listing  # noqa: E402
from mmedge.errors import ProofError  # noqa: E402
from tests.calibration.observed import drawn, observe  # noqa: E402
from tests.fakes import onnx_model  # noqa: E402
from tests.rtx.auditing import fused_layers  # noqa: E402
from tests.rtx.test_compile import DEMO, check, graph_of, kept_graphs  # noqa: E402

pytestmark = [pytest.mark.rtx, pytest.mark.timeout(300)]


def names_of(model: bytes, *, attention: bool = True) -> frozenset[str]:
    return frozenset(
        each.name
        for each in find_layers(Graph(model))
        if each.kind in KINDS and (attention or each.weight)
    )


def plan(
    model: bytes, layers: frozenset[str], rest: Any = "fp16", *, eased: bool = True
) -> Lowered:
    """Lower by what some drawn inputs reach."""
    feeds = drawn(model, 32)  # of 64 tokens each: enough for `ease` to migrate
    means = {}
    if eased:
        observer = ChannelObserver(model, channel_axes(model))
        observer.add(feeds)
        changed = ease(model, observer.channels)
        model = changed.model
        means = {name: each.mean for name, each in changed.channels.items()}
    seen = observe(model, feeds)
    lowering = Lowering(int8=layers, ranges=seen, seen=seen, means=means, rest=rest)
    return lower_tensorrt(model, lowering)


def audit(model: bytes, lowered: Lowered) -> tuple[Fused, ...]:
    """Every layer that is listed takes INT8 on all sides, and no other takes any."""
    compiled = check(lowered.model, lowered.int8)  # mmedge's own audit; the test has another
    layers = names_of(model)
    engine = [each for each in parse_listing(compiled.layers) if each.multiplies]
    found = {name for each in engine for name in each.nodes & layers}
    assert found >= set(lowered.int8), "a layer that the plan lists is not in the engine"
    for each in engine:
        mine = each.nodes & layers
        if mine:
            types = {kind for kind in each.inputs if kind != "Bool"}  # masks
            assert (types == {"Int8"}) == bool(mine & set(lowered.int8)), each
            assert mine <= set(lowered.int8) or not mine & set(lowered.int8), each
    return tuple(engine)


@pytest.mark.parametrize("rest", ["fp32", "fp16"])
@pytest.mark.parametrize("graph", ["camera", "mic"])
def test_the_demo_computes_in_int8_what_its_plan_lists(graph: str, rest: str) -> None:
    model = graph_of(open_bundle(DEMO), graph)
    lowered = plan(model, names_of(model), rest)
    assert set(lowered.int8) == names_of(model)
    audit(model, lowered)


def test_a_layer_that_is_left_out_computes_higher() -> None:
    model = graph_of(open_bundle(DEMO), "camera")
    left = "encoder.features.2.1/Conv"
    lowered = plan(model, names_of(model) - {left})
    engine = audit(model, lowered)
    (alone,) = (each for each in engine if left in each.nodes)
    assert alone.inputs == ("Half",)


def test_the_audit_can_fail_a_scale_of_one_element_is_not_fused() -> None:
    model = graph_of(open_bundle(DEMO), "camera")
    lowered = plan(model, names_of(model), "fp32")
    graph = Graph(lowered.model)
    for name in list(graph.constants):
        value = graph.constant(name)
        if name.endswith("/scale") and value is not None:
            graph.add_constant(name, value.reshape(1))
    with pytest.raises(ProofError, match="where Int8 was promised"):
        audit(model, Lowered(model=graph.to_bytes(), int8=lowered.int8))


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    torch = pytest.importorskip("torch", reason="to export, torch is needed")
    from mmedge.models import ImageViT
    from mmedge.specs import Image
    from tests.export.recipes import Head, export_to, one_picture

    torch.manual_seed(0)
    recipe = one_picture(
        ImageViT(3, (64, 64), 96, patch=8, depth=2, heads=3),
        Head(width=96),
        modalities={"camera": Image(height=64, width=64)},
    )
    bundle = export_to(tmp_path_factory.mktemp("vit"), recipe).bundle
    return graph_of(bundle, "camera")


def attentions(model: bytes) -> int:
    return sum(each.attends for each in fused_layers(model))


def in_half(model: bytes) -> bytes:
    return lower_fp16(model, observe(model, drawn(model, 5))).model


@pytest.mark.parametrize("attention", [True, False])
def test_attention_stays_one_fused_layer_in_int8_or_beside_it(vit: bytes, attention: bool) -> None:
    assert attentions(in_half(vit)) == 2
    lowered = plan(vit, names_of(vit, attention=attention))
    engine = audit(vit, lowered)
    assert sum(each.attends for each in engine) == 2
    assert {each.inputs[0] for each in engine if each.attends} == {"Int8" if attention else "Half"}


def test_one_product_of_attention_alone_would_break_it_apart(vit: bytes) -> None:
    """What the rewrite refuses to do, done by hand: the reason why it does."""
    products = names_of(vit) - names_of(vit, attention=False)
    lowered = plan(vit, names_of(vit))
    graph = Graph(lowered.model)
    for node in graph.nodes:
        if node.name in products and node.name.endswith("MatMul_2"):
            for index in (0, 1):
                pair = graph.producers[graph.producers[node.input[index]].input[0]]
                graph.feed(node, index, pair.input[0])
    assert attentions(lowered.model) == 2
    assert attentions(graph.to_bytes()) == 0


def test_a_skip_branch_comes_as_int8_around_the_convolution() -> None:
    draw = np.random.default_rng(0)
    weights = {f"w.{i}": draw.normal(size=(32, 32, 3, 3)).astype(np.float32) for i in range(3)}
    biases = {f"b.{i}": draw.normal(size=32).astype(np.float32) for i in range(3)}

    def conv(index: int, value: str, output: str) -> Any:
        inputs = [value, f"w.{index}", f"b.{index}"]
        return helper.make_node("Conv", inputs, [output], name=output, pads=[1] * 4)

    model = onnx_model(
        [
            conv(0, "samples", "stem"),
            conv(1, "stem", "one"),
            helper.make_node("Relu", ["one"], ["relu"], name="relu"),
            conv(2, "relu", "two"),
            helper.make_node("Add", ["two", "stem"], ["sum"], name="add"),
            helper.make_node("Relu", ["sum"], ["embedding"], name="last"),
        ],
        {"samples": ["batch", 32, 16, 16]},
        {"embedding": ["batch", 32, 16, 16]},
        {**weights, **biases},
    )
    lowered = plan(model, names_of(model), "fp32", eased=False)
    audit(model, lowered)
    (adds,) = (each for each in fused_layers(lowered.model) if "add" in each.nodes)
    assert sorted(adds.inputs) == ["Float", "Int8"]


ENCODERS = [each for each in kept_graphs() if not each.values[0].name.startswith("fusion-")]
"""Heads are not lowered: they are small, and what they decide is what counts."""


@pytest.mark.parametrize("graph", ENCODERS)
def test_whatever_the_other_tests_exported_computes_in_int8_what_it_lists(graph: Path) -> None:
    model = graph.read_bytes()
    lowered = plan(model, names_of(model))
    fused = attentions(in_half(model))
    engine = audit(model, lowered)
    assert sum(each.attends for each in engine) == fused
