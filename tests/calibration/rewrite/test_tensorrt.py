"""INT8 for TensorRT: where Q/DQ stand, and that the arithmetic is what they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from mmedge.calibration.graph import Graph
from mmedge.calibration.lowering import Lowering, Range
from mmedge.calibration.rewrite.tensorrt import lower_tensorrt
from mmedge.errors import ConfigError, IncompatibleError
from mmedge.runtime.backends import open_backend
from tests.fakes import onnx_model

node = helper.make_node


def normal(*shape: int) -> NDArray[np.float32]:
    """Draw from the shape: the same for the same one."""
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def run(model: bytes, **feeds: NDArray[Any]) -> NDArray[np.float32]:
    with open_backend("cpu", model, what="graph", simulate=True) as backend:
        (found,) = backend.run(feeds).values()
    return np.asarray(found, np.float32)


def lowering(layers: str, ranges: Mapping[str, float], **others: Any) -> Lowering:
    return Lowering(
        int8=frozenset(layers.split()),
        ranges={name: Range(-largest, largest) for name, largest in ranges.items()},
        **{"weights": "min-max", **others},
    )


def residual() -> bytes:
    """``stem``, then ``one``, Relu, ``two`` around which ``stem`` is added; Relu."""
    names = ("stem", "one", "two")
    kernels = {f"w_{name}": normal(4, 4, 3, 3) for name in names}
    biases = {f"b_{name}": normal(4) for name in names}

    def conv(name: str, value: str) -> Any:
        inputs = [value, f"w_{name}", f"b_{name}"]
        return node("Conv", inputs, [f"{name}.out"], name=name, pads=[1] * 4)

    return onnx_model(
        [
            node("Mul", ["samples", "half"], ["front_end"], name="normalise"),
            conv("stem", "front_end"),
            conv("one", "stem.out"),
            node("Relu", ["one.out"], ["one.relu"], name="relu"),
            conv("two", "one.relu"),
            node("Add", ["two.out", "stem.out"], ["sum"], name="add"),
            node("Relu", ["sum"], ["embedding"], name="last"),
        ],
        {"samples": ["batch", 4, 5, 5]},
        {"embedding": ["batch", 4, 5, 5]},
        {"half": np.float32(0.5), **kernels, **biases},
    )


RESIDUAL = {"front_end": 2.0, "stem.out": 20.0, "one.relu": 100.0}


def test_one_pair_per_activation_is_shared_and_the_skip_branch_takes_it_too() -> None:
    lowered = lower_tensorrt(residual(), lowering("stem one two", RESIDUAL))
    assert (lowered.int8, lowered.kept) == (("stem", "one", "two"), ())
    graph = Graph(lowered.model)
    by_name = {each.name: each for each in graph.nodes}
    assert by_name["one"].input[0] == "stem.out/rounded"
    assert list(by_name["add"].input) == ["two.out", "stem.out/rounded"]
    kinds = [each.op_type for each in graph.nodes]
    assert kinds.count("QuantizeLinear") == 3
    assert kinds.count("DequantizeLinear") == 3 + 3
    # Nothing stands between a layer and what fuses into it, and biases are float.
    assert by_name["relu"].input[0] == "one.out"
    assert by_name["last"].input[0] == "sum"
    assert by_name["two"].input[2] == "b_two"


def test_scales_are_symmetric_signed_and_scalar_for_activations_per_channel_for_weights() -> None:
    graph = Graph(lower_tensorrt(residual(), lowering("one", RESIDUAL)).model)
    scale, zero = graph.constant("stem.out/scale"), graph.constant("int8_zero")
    assert scale is not None
    assert zero is not None
    assert (scale.shape, zero.shape, zero.dtype, zero.item()) == ((), (), np.int8, 0)
    np.testing.assert_allclose(scale, 20 / 127, rtol=1e-3)
    stored, scales = graph.constant("w_one/int8.0"), graph.constant("w_one/scales.0")
    weight = Graph(residual()).constant("w_one")
    assert stored is not None
    assert scales is not None
    assert weight is not None
    assert (stored.dtype, stored.shape, scales.shape) == (np.int8, (4, 4, 3, 3), (4,))
    rounded = stored * scales[:, None, None, None]
    np.testing.assert_allclose(rounded, weight, atol=0.51 * float(scales.max()))


def test_what_is_not_asked_for_stays_bit_for_bit_and_keeps_its_name() -> None:
    before, after = (
        Graph(model)
        for model in (residual(), lower_tensorrt(residual(), lowering("two", RESIDUAL)).model)
    )
    for name in ("normalise", "stem", "one", "relu", "last"):
        (one,), (other,) = ([e for e in g.nodes if e.name == name] for g in (before, after))
        assert one == other
    assert before.model.graph.input == after.model.graph.input
    assert before.model.graph.output == after.model.graph.output


def test_the_simulated_answer_is_what_rounding_by_hand_gives() -> None:
    weight, bias = normal(6, 4), normal(6)
    model = onnx_model(
        [node("Gemm", ["samples", "weight", "bias"], ["embedding"], name="gemm", transB=1)],
        {"samples": ["batch", 4]},
        {"embedding": ["batch", 6]},
        {"weight": weight, "bias": bias},
    )
    # A range of 127 / 64 makes a scale that both float types have: 1 / 64.
    lowered = lower_tensorrt(model, lowering("gemm", {"samples": 127 / 64}))
    graph = Graph(lowered.model)
    scales, samples = graph.constant("weight/scales.0"), normal(8, 4)
    assert scales is not None
    rounded = np.clip(np.rint(samples * 64), -128, 127) / 64
    weights = np.rint(weight / scales[:, None]) * scales[:, None]
    np.testing.assert_allclose(
        run(lowered.model, samples=samples), rounded @ weights.T + bias, atol=1e-5
    )


@pytest.mark.parametrize(
    ("kind", "attributes", "shape", "axis"),
    [
        ("MatMul", {}, (4, 6), 1),
        ("Gemm", {}, (4, 6), 1),
        ("Gemm", {"transB": 1}, (6, 4), 0),
        ("ConvTranspose", {}, (4, 6, 1, 1), 1),
        ("Conv", {}, (6, 4, 1, 1), 0),
        ("Conv", {"group": 4}, (8, 1, 1, 1), 0),
    ],
)
def test_weights_have_a_scale_per_output_channel_whatever_the_layer(
    kind: str, attributes: dict[str, int], shape: tuple[int, ...], axis: int
) -> None:
    weight = normal(*shape)
    # Channels of very different size: one scale for all, or one per input, would lose them.
    sizes = np.logspace(-3, 0, shape[axis], dtype=np.float32)
    weight *= np.expand_dims(sizes, tuple(i for i in range(len(shape)) if i != axis))
    picture = [3, 3] if "Conv" in kind else []
    model = onnx_model(
        [node(kind, ["samples", "weight"], ["embedding"], name="layer", **attributes)],
        {"samples": ["batch", 4, *picture]},
        {"embedding": ["batch", shape[axis], *picture]},
        {"weight": weight},
    )
    lowered = lower_tensorrt(model, lowering("layer", {"samples": 4.0}))
    assert lowered.int8 == ("layer",)
    samples = normal(16, 4, *picture)
    exact, found = run(model, samples=samples), run(lowered.model, samples=samples)
    others = tuple(i for i in range(exact.ndim) if i != 1)
    noise = np.sqrt(np.square(found - exact).mean(others) / np.square(exact).mean(others))
    assert noise.max() < 0.03


def attention() -> bytes:
    """Tokens attend to one another over a mask of -inf; every product has a name."""
    weights = dict(zip(("w_q", "w_k", "w_v"), normal(3, 8, 8), strict=True))
    return onnx_model(
        [
            *(node("MatMul", ["samples", f"w_{name}"], [name], name=name) for name in "qkv"),
            node("Transpose", ["k"], ["turned"], name="turn", perm=[0, 2, 1]),
            node("MatMul", ["q", "turned"], ["scores"], name="scores"),
            node("Add", ["scores", "mask"], ["masked"], name="mask"),
            node("Softmax", ["masked"], ["weights"], name="softmax"),
            node("MatMul", ["weights", "v"], ["embedding"], name="mix"),
        ],
        {"samples": ["batch", 3, 8]},
        {"embedding": ["batch", 3, 8]},
        {**weights, "mask": np.float32([0, 0, -np.inf])},
    )


ATTENTION = {"samples": 4.0, "q": 20.0, "turned": 20.0, "weights": 1.0, "v": 20.0}


def test_both_products_of_attention_take_int8_on_both_sides() -> None:
    model = attention()
    lowered = lower_tensorrt(model, lowering("q k v scores mix", ATTENTION))
    assert lowered.int8 == ("q", "k", "v", "scores", "mix")
    by_name = {each.name: list(each.input) for each in Graph(lowered.model).nodes}
    assert by_name["scores"] == ["q/rounded", "turned/rounded"]
    assert by_name["mix"] == ["weights/rounded", "v/rounded"]
    assert by_name["softmax"] == ["masked"]
    samples = normal(8, 3, 8)
    exact, found = (run(each, samples=samples) for each in (model, lowered.model))
    assert np.square(found - exact).mean() < 0.01 * np.square(exact).mean()


def test_one_product_of_attention_alone_is_kept_and_the_reason_is_given() -> None:
    model = attention()
    for asked, other in (("scores", "mix"), ("mix", "scores")):
        lowered = lower_tensorrt(model, lowering(f"q {asked}", ATTENTION, rest="fp32"))
        assert lowered.int8 == ("q",)
        (kept,) = lowered.kept
        assert (kept.layer, kept.precision) == (asked, "fp32")
        assert kept.why == f"attention fuses only with {other} in the same precision"
    without = {name: value for name, value in ATTENTION.items() if name != "v"}
    lowered = lower_tensorrt(model, lowering("scores mix", without))
    assert lowered.int8 == ()
    assert {kept.layer: kept.why for kept in lowered.kept} == {
        "mix": "no range of v was observed",
        "scores": "attention fuses only with mix in the same precision",
    }


def one_layer(kind: str, weight: NDArray[np.float32] | None, **attributes: Any) -> bytes:
    inputs = ["samples"] if weight is None else ["samples", "weight"]
    constants = {} if weight is None else {"weight": weight}
    return onnx_model(
        [node(kind, inputs, ["embedding"], name="layer", **attributes)],
        {"samples": ["batch", 4, 4]},
        {"embedding": ["batch", 4, 4]},
        constants,
    )


def test_what_cannot_be_lowered_is_kept_and_said() -> None:
    stack = one_layer("MatMul", normal(1, 4, 4))
    reasons = {
        "its weight has 3 dimensions, not 2": (stack, {"samples": 1.0}),
        "no range of samples was observed": (one_layer("MatMul", normal(4, 4)), {}),
        "samples was never anything but zero": (
            one_layer("MatMul", normal(4, 4)),
            {"samples": 0.0},
        ),
    }
    for why, (model, ranges) in reasons.items():
        lowered = lower_tensorrt(model, lowering("layer", ranges))
        assert [kept.why for kept in lowered.kept] == [why]
        assert lowered.int8 == ()
        samples = normal(2, 4, 4)
        np.testing.assert_array_equal(
            run(lowered.model, samples=samples), run(model, samples=samples)
        )


def test_a_name_that_is_no_layer_or_stands_in_the_front_end_is_refused() -> None:
    model = onnx_model(
        [
            node("MatMul", ["samples", "bank"], ["front_end"], name="mel"),
            node("MatMul", ["front_end", "weight"], ["embedding"], name="layer"),
        ],
        {"samples": ["batch", 4]},
        {"embedding": ["batch", 4]},
        {"bank": normal(4, 4), "weight": normal(4, 4)},
    )
    with pytest.raises(ConfigError, match="behind the front-end: mel, nothing"):
        lower_tensorrt(model, lowering("layer mel nothing", {"front_end": 1.0, "samples": 1.0}))


def trained(zero: NDArray[Any]) -> bytes:
    """A layer with Q/DQ of its own, as quantisation-aware training leaves them, and one without."""
    kind = {np.dtype(np.int8): TensorProto.INT8, np.dtype(np.uint8): TensorProto.UINT8}
    assert zero.dtype in kind
    return onnx_model(
        [
            node("QuantizeLinear", ["samples", "s", "z"], ["samples.q"], name="q"),
            node("DequantizeLinear", ["samples.q", "s", "z"], ["samples.dq"], name="dq"),
            node("DequantizeLinear", ["w.q", "w.s"], ["w.dq"], name="w", axis=1),
            node("MatMul", ["samples.dq", "w.dq"], ["hidden"], name="aware"),
            node("MatMul", ["hidden", "weight"], ["embedding"], name="plain"),
        ],
        {"samples": ["batch", 4]},
        {"embedding": ["batch", 4]},
        {
            "s": np.float32(0.03),
            "z": zero,
            "w.q": np.arange(-8, 8, dtype=np.int8).reshape(4, 4),
            "w.s": np.float32([0.1, 0.2, 0.3, 0.4]),
            "weight": normal(4, 4),
        },
    )


def test_q_dq_of_training_keep_their_scales_and_are_not_quantised_twice() -> None:
    model = trained(np.int8(0))
    ranges = {"samples.dq": 9.0, "hidden": 5.0}
    lowered = lower_tensorrt(model, lowering("aware plain", ranges))
    assert lowered.int8 == ("aware", "plain")
    before, after = ({e.name: e for e in Graph(each).nodes} for each in (model, lowered.model))
    for name in ("q", "dq", "w", "aware"):
        assert before[name] == after[name]
    assert after["plain"].input[0] == "hidden/rounded"
    # Whatever is asked, it is INT8.
    assert lower_tensorrt(model, lowering("plain", ranges)).int8 == ("aware", "plain")


@pytest.mark.parametrize(
    ("zero", "complaint"),
    [(np.uint8(0), "is uint8, and TensorRT takes int8 only"), (np.int8(3), "other than 0")],
)
def test_q_dq_that_tensorrt_reads_as_something_else_are_refused(zero: Any, complaint: str) -> None:
    with pytest.raises(IncompatibleError, match=complaint):
        lower_tensorrt(trained(np.asarray(zero)), lowering("plain", {"hidden": 5.0}))
