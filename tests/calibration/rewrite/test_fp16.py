"""FP16: what is lowered, what stays and why, and that the answers are the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from mmedge.calibration.lowering import Lowered, Range
from mmedge.calibration.rewrite.fp16 import lower_fp16, values_to_observe
from tests.calibration.observed import cosine, observe, session
from tests.fakes import onnx_model

node = helper.make_node
Array = NDArray[Any]
GENERATOR = np.random.default_rng(0)


def normal(*shape: int, scale: float = 1.0) -> Array:
    drawn = np.random.default_rng(shape).standard_normal(shape)
    return (scale * drawn).astype(np.float32)


def graph_of(lowered: Lowered) -> onnx.GraphProto:
    """The graph, once it is known to be a valid one that ONNX Runtime loads."""
    model = onnx.load_from_string(lowered.model)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, strict_mode=True)
    session(lowered.model)
    return model.graph


def types(lowered: Lowered) -> dict[str, int]:
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(lowered.model))
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    return {each.name: each.type.tensor_type.elem_type for each in values}


def halves(lowered: Lowered) -> set[str]:
    return {name for name, each in types(lowered).items() if each == TensorProto.FLOAT16}


def operators(lowered: Lowered) -> Counter[str]:
    return Counter(each.op_type for each in graph_of(lowered).node)


def kept(lowered: Lowered) -> dict[str, str]:
    return {each.layer: each.why for each in lowered.kept}


def exact(lowered: Lowered, feeds: Mapping[str, Array]) -> Array:
    """What FP16 really gives: numpy rounds after every node, and ONNX Runtime does not."""
    with np.errstate(all="ignore"):
        found: Array = ReferenceEvaluator(lowered.model).run(None, dict(feeds))[0]
    return found


def small_net(**changes: Any) -> bytes:
    """A front-end (times 4), a convolution, ReLU, a mean over the picture, a Gemm."""
    constants = {
        "four": np.float32(4),
        "kernel": normal(8, 3, 3, 3),
        "bias": normal(8),
        "matrix": normal(5, 8),
        "offset": normal(5),
        "axes": np.array([2, 3]),
    }
    nodes = [
        node("Mul", ["samples", "four"], ["front_end"], name="front"),
        node("Conv", ["front_end", "kernel", "bias"], ["conv"], name="conv", pads=[1] * 4),
        node("Relu", ["conv"], ["relu"], name="relu"),
        node("ReduceMean", ["relu", "axes"], ["mean"], name="mean", keepdims=0),
        node("Gemm", ["mean", "matrix", "offset"], ["embedding"], name="gemm", transB=1),
    ]
    shapes = {"samples": ["batch", 3, 6, 6]}, {"embedding": ["batch", 5]}
    return onnx_model(nodes, *shapes, {**constants, **changes})


PICTURES = {"samples": normal(2, 3, 6, 6)}


def test_behind_the_front_end_all_is_fp16_with_one_cast_in_and_one_out() -> None:
    model = small_net()
    lowered = lower_fp16(model, observe(model, PICTURES))
    assert halves(lowered) == {"front_end.fp16", "conv", "relu", "mean", "embedding.fp16"}
    assert operators(lowered)["Cast"] == 2
    stored = {each.name: each.data_type for each in graph_of(lowered).initializer}
    assert stored == {
        "four": TensorProto.FLOAT,
        "axes": TensorProto.INT64,
        **dict.fromkeys(
            ("kernel.fp16", "bias.fp16", "matrix.fp16", "offset.fp16"), TensorProto.FLOAT16
        ),
    }
    assert [each.layer for each in lowered.kept] == ["front"]
    assert lowered.kept[0].precision == "fp32"


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_it_answers_as_fp32_does_at_any_batch(batch: int) -> None:
    model, feeds = small_net(), {"samples": normal(batch, 3, 6, 6)}
    lowered = lower_fp16(model, observe(model, feeds))
    wanted = session(model).run(None, feeds)[0]
    for found in (session(lowered.model).run(None, feeds)[0], exact(lowered, feeds)):
        assert found.dtype == np.float32
        assert cosine(wanted, found) > 0.99999


def test_a_value_beyond_fp16_keeps_its_makers_and_takers_in_fp32_and_names_its_range() -> None:
    model = small_net(kernel=normal(8, 3, 3, 3, scale=1e4), matrix=normal(5, 8, scale=1e-3))
    seen = observe(model, PICTURES)
    lowered = lower_fp16(model, seen)
    assert halves(lowered) == set()  # the mean reaches 1e5 as well, and the Gemm takes it
    high = f"{seen['relu'].high:.3g}"
    assert kept(lowered)["relu"].startswith(f"FP16 ends at 65,504; 0 to {high}")
    assert kept(lowered)["gemm"].startswith("takes mean: FP16 ends at 65,504; ")


def test_what_reached_a_quarter_of_fp16_s_range_leaves_no_room_for_other_samples() -> None:
    model = small_net()
    seen = observe(model, PICTURES)
    for largest, half in ((16_000.0, True), (17_000.0, False)):
        lowered = lower_fp16(model, {**seen, "conv": Range(-largest, 1)})
        assert ("conv" in halves(lowered)) is half


def test_values_below_fp16_s_precision_stay() -> None:
    model = small_net(kernel=normal(8, 3, 3, 3, scale=1e-7), bias=np.zeros(8, np.float32))
    lowered = lower_fp16(model, observe(model, PICTURES))
    assert kept(lowered)["relu"].startswith("FP16 loses precision below 6.1e-05; 0 to ")
    assert "conv" in kept(lowered)


def test_what_nobody_observed_stays() -> None:
    model = small_net()
    seen = observe(model, PICTURES)
    del seen["mean"]
    lowered = lower_fp16(model, seen)
    assert kept(lowered)["mean"] == "the range of mean was not observed; not observed"
    assert "conv" in halves(lowered)
    assert lower_fp16(model, {}).model == lower_fp16(lower_fp16(model, {}).model, {}).model
    assert halves(lower_fp16(model, {})) == set()


def test_values_to_observe_are_those_that_depend_on_the_input() -> None:
    assert values_to_observe(small_net()) == (
        "samples",
        "front_end",
        "conv",
        "relu",
        "mean",
        "embedding",
    )


def test_a_sum_that_would_pass_fp16_on_its_way_stays_though_its_mean_fits() -> None:
    model = small_net()
    seen = {**observe(model, PICTURES), "relu": Range(0, 2000.0, 1)}
    assert kept(lower_fp16(model, seen))["mean"].startswith("sums 36 values up to 2e+03; ")


def test_weights_that_fp16_rounds_away_stay_and_dead_channels_do_not_count() -> None:
    kernel = normal(8, 3, 3, 3)
    kernel[2] *= 1e-7  # beside a bias of 1: no answer changes
    bias = np.ones(8, np.float32)
    model = small_net(kernel=kernel, bias=bias)
    assert "conv" in halves(lower_fp16(model, observe(model, PICTURES)))
    loud = {"samples": 100 * PICTURES["samples"]}
    model = small_net(kernel=kernel, bias=np.zeros(8, np.float32))
    lowered = lower_fp16(model, observe(model, loud))
    assert kept(lowered)["conv"].startswith("FP16 rounds 1 channels of kernel by more than 1 %")


def behind_a_layer(*nodes: Any, constants: Mapping[str, Any]) -> bytes:
    """A product that gives ``x``, nodes, and one that takes ``y``: ``[B, 4, 8]`` throughout."""
    return onnx_model(
        [
            node("MatMul", ["samples", "first"], ["x"], name="first"),
            *nodes,
            node("MatMul", ["y", "second"], ["embedding"], name="second"),
        ],
        {"samples": ["batch", 4, 8]},
        {"embedding": ["batch", 4, 8]},
        {"first": normal(8, 8), "second": normal(8, 8), "axis": np.array([-1]), **constants},
    )


TOKENS = {"samples": normal(3, 4, 8)}


def test_a_layer_norm_is_fp16_as_one_node_and_fp32_spelled_out() -> None:
    weights = {"gain": normal(8), "shift": normal(8)}
    one = behind_a_layer(
        node("LayerNormalization", ["x", "gain", "shift"], ["y"], name="norm"), constants=weights
    )
    assert lower_fp16(one, observe(one, TOKENS)).kept == ()
    spelled = behind_a_layer(
        node("ReduceMean", ["x", "axis"], ["mean"], name="mean"),
        node("Sub", ["x", "mean"], ["away"], name="sub"),
        node("Pow", ["away", "two"], ["square"], name="pow"),
        node("ReduceMean", ["square", "axis"], ["variance"], name="variance"),
        node("Add", ["variance", "epsilon"], ["raised"], name="add"),
        node("Sqrt", ["raised"], ["root"], name="sqrt"),
        node("Div", ["away", "root"], ["unit"], name="div"),
        node("Mul", ["unit", "gain"], ["y"], name="mul"),
        constants={**weights, "two": np.float32(2), "epsilon": np.float32(1e-12)},
    )
    lowered = lower_fp16(spelled, observe(spelled, TOKENS))
    assert list(kept(lowered)) == ["mean", "sub", "pow", "variance", "add", "sqrt", "div"]
    assert kept(lowered)["pow"].startswith("small values decide in sqrt; 0 to ")
    assert operators(lowered)["Cast"] == 4  # in, out, and one each way in between


def unit_length() -> bytes:
    return behind_a_layer(
        node("ReduceL2", ["x", "axis"], ["length"], name="length"),
        node("Clip", ["length", "epsilon"], ["guarded"], name="guard"),
        node("Div", ["x", "guarded"], ["y"], name="divide"),
        constants={"epsilon": np.float32(1e-12)},
    )


def test_an_epsilon_that_fp16_would_turn_to_zero_keeps_guarding_the_quotient() -> None:
    model = unit_length()
    lowered = lower_fp16(model, observe(model, TOKENS))
    assert list(kept(lowered)) == ["length", "guard", "divide"]
    nothing = {"samples": np.zeros((1, 4, 8), np.float32)}
    np.testing.assert_array_equal(exact(lowered, nothing), np.zeros((1, 4, 8)))


def test_what_leads_to_a_logarithm_stays_back_through_every_layer() -> None:
    model = onnx_model(
        [
            node("MatMul", ["samples", "basis"], ["spectrum"], name="fourier"),
            node("Mul", ["spectrum", "spectrum"], ["power"], name="power"),
            node("MatMul", ["power", "bank"], ["bands"], name="bank"),
            node("Clip", ["bands", "floor"], ["lifted"], name="clip"),
            node("Log", ["lifted"], ["log"], name="log"),
            node("MatMul", ["log", "matrix"], ["embedding"], name="net"),
        ],
        {"samples": ["batch", 8]},
        {"embedding": ["batch", 3]},
        {
            "basis": normal(8, 8),
            "bank": np.abs(normal(8, 4)),
            "floor": np.float32(1e-10),
            "matrix": normal(4, 3),
        },
    )
    quiet, loud = ({"samples": normal(2, 8, scale=scale)} for scale in (1e-5, 3e4))
    lowered = lower_fp16(model, observe(model, quiet, loud))
    assert list(kept(lowered)) == ["fourier", "power", "bank", "clip", "log"]
    assert halves(lowered) == {"log.fp16", "embedding.fp16"}
    for feeds in (quiet, loud):
        wanted = session(model).run(None, feeds)[0]
        assert cosine(wanted, exact(lowered, feeds)) > 0.9999


def masked(by: str, number: float, **constants: Any) -> bytes:
    """Attention over 8 keys: a mask added to the scores, or put in their place."""
    scores = {
        "add": [
            node("Where", ["presence", "zero", "low"], ["mask"], name="mask"),
            node("Add", ["x", "mask"], ["scores"], name="scores"),
        ],
        "where": [node("Where", ["presence", "x", "low"], ["scores"], name="scores")],
    }[by]
    graph = behind_a_layer(
        *scores,
        node("Softmax", ["scores"], ["y"], name="softmax", axis=-1),
        constants={"zero": np.float32(0), "low": np.float32(number), **constants},
    )
    model = onnx.load_from_string(graph)
    presence = helper.make_tensor_value_info("presence", TensorProto.BOOL, ["batch", 1, 8])
    model.graph.input.append(presence)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("number", [float(np.finfo(np.float32).min), -1e9, -np.inf])
@pytest.mark.parametrize("by", ["add", "where"])
def test_a_mask_fits_fp16_and_lets_the_same_through(by: str, number: float) -> None:
    model = masked(by, number)
    presence = np.array([[[1] * 8], [[1, 0] * 4], [[0] * 7 + [1]]], bool)
    feeds = {**TOKENS, "presence": presence}
    lowered = lower_fp16(model, observe(model, feeds))
    assert lowered.kept == ()
    assert operators(lowered)["Cast"] == 2
    wanted, found = session(model).run(None, feeds)[0], exact(lowered, feeds)
    assert cosine(wanted, found) > 0.99999


@pytest.mark.parametrize("by", ["add", "where"])
def test_where_everything_is_masked_fp16_attends_evenly_too(by: str) -> None:
    model = masked(by, float(np.finfo(np.float32).min))
    feeds = {**TOKENS, "presence": np.zeros((3, 1, 8), bool)}
    seen = observe(model, {**TOKENS, "presence": np.ones((3, 1, 8), bool)})
    assert seen["x"].largest < 16
    wanted, found = session(model).run(None, feeds)[0], exact(lower_fp16(model, seen), feeds)
    np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-3)


def test_a_large_negative_constant_that_is_no_mask_is_not_touched() -> None:
    model = behind_a_layer(
        node("Add", ["x", "low"], ["y"], name="add"), constants={"low": np.float32(-1e9)}
    )
    lowered = lower_fp16(model, observe(model, TOKENS))
    assert kept(lowered)["add"].startswith("FP16 ends at 65,504; -1e+09 to ")
    feeds = {"samples": TOKENS["samples"]}
    np.testing.assert_allclose(exact(lowered, feeds), session(model).run(None, feeds)[0], rtol=1e-3)


def test_counts_of_a_mask_stay_and_so_does_the_quotient_they_guard() -> None:
    model = onnx_model(
        [
            node("Gather", ["table", "ids"], ["tokens"], name="table"),
            node("MatMul", ["tokens", "matrix"], ["x"], name="layer"),
            node("Greater", ["ids", "nothing"], ["here"], name="here"),
            node("Cast", ["here"], ["ones"], name="ones", to=TensorProto.FLOAT),
            node("ReduceSum", ["ones", "axis"], ["count"], name="count"),
            node("Clip", ["count", "least"], ["guarded"], name="guard"),
            node("ReduceSum", ["x", "axis"], ["sum"], name="sum", keepdims=0),
            node("Div", ["sum", "guarded"], ["embedding"], name="mean"),
        ],
        {"ids": ["batch", 4]},
        {"embedding": ["batch", 8]},
        {
            "table": normal(9, 8),
            "matrix": normal(8, 8),
            "nothing": np.int64(0),
            "axis": np.array([1]),
            "least": np.float32(1e-9),
        },
    )
    file = onnx.load_from_string(model)
    file.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    model = file.SerializeToString()
    ids = np.array([[1, 2, 0, 0], [3, 4, 5, 6]])
    lowered = lower_fp16(model, observe(model, {"ids": ids}))
    assert list(kept(lowered)) == ["ones", "count", "guard", "mean"]
    assert halves(lowered) == {"tokens", "x", "sum"}
    assert operators(lowered)["Cast"] == 2
    assert np.isnan(exact(lowered, {"ids": 0 * ids})).sum() == 0


def test_fp16_that_holds_no_layer_is_given_up() -> None:
    model = onnx_model(
        [node("Relu", ["samples"], ["embedding"], name="relu")],
        {"samples": ["batch", 4]},
        {"embedding": ["batch", 4]},
    )
    lowered = lower_fp16(model, observe(model, {"samples": normal(2, 4)}))
    assert operators(lowered) == {"Relu": 1}
    assert kept(lowered)["relu"].startswith("between FP32 neighbours, no layer with it; 0 to ")


def recurrent() -> bytes:
    """An LSTM of 6 over 5 steps of 4; its states come in and go out."""
    nodes = [
        node("Transpose", ["samples"], ["steps"], name="turn", perm=[1, 0, 2]),
        *(node("Unsqueeze", [x, "first"], [f"{x}_in"], name=f"{x}_in") for x in ("h", "c")),
        node(
            "LSTM",
            ["steps", "W", "R", "", "", "h_in", "c_in"],
            ["all", "h_out", "c_out"],
            name="lstm",
            hidden_size=6,
        ),
        *(
            node("Squeeze", [f"{x}_out", "first"], [f"{x}_next"], name=f"{x}_out")
            for x in ("h", "c")
        ),
        node("MatMul", ["h_next", "matrix"], ["embedding"], name="project"),
    ]
    weights = {"W": normal(1, 24, 4), "R": normal(1, 24, 6), "matrix": normal(6, 3)}
    return onnx_model(
        nodes,
        {"samples": ["batch", 5, 4], "h": ["batch", 6], "c": ["batch", 6]},
        {"embedding": ["batch", 3], "h_next": ["batch", 6], "c_next": ["batch", 6]},
        {**weights, "first": np.array([0])},
    )


def test_an_lstm_is_fp16_and_its_states_stay_float32() -> None:
    model = recurrent()
    state = np.zeros((2, 6), np.float32)
    feeds = {"samples": normal(2, 5, 4), "h": state, "c": state}
    lowered = lower_fp16(model, observe(model, feeds))
    graph = graph_of(lowered)
    signature = (*graph.input, *graph.output)
    assert {each.type.tensor_type.elem_type for each in signature} == {TensorProto.FLOAT}
    assert {"h_out", "c_out", "h_next.fp16"} <= halves(lowered)
    for wanted, found in zip(
        session(model).run(None, feeds), session(lowered.model).run(None, feeds), strict=True
    ):
        assert cosine(wanted, found) > 0.99999


def quantised(scale: float) -> bytes:
    """An INT8 layer, a float one behind it."""
    stored = np.random.default_rng(3).integers(-127, 128, (8, 8)).astype(np.int8)
    return behind_a_layer(
        node("QuantizeLinear", ["x", "scale", "zero"], ["x8"], name="q"),
        node("DequantizeLinear", ["x8", "scale", "zero"], ["xd"], name="dq"),
        node("DequantizeLinear", ["stored", "scales"], ["weight"], name="dqw", axis=1),
        node("MatMul", ["xd", "weight"], ["z"], name="int8"),
        node("Relu", ["z"], ["y"], name="relu"),
        constants={
            "scale": np.float32(2.0**-4),
            "zero": np.int8(0),
            "stored": stored,
            "scales": np.full(8, scale, np.float32),
        },
    )


def test_q_and_dq_take_fp16_scales_where_fp16_holds_them() -> None:
    model = quantised(2.0**-7)
    lowered = lower_fp16(model, observe(model, TOKENS))
    assert operators(lowered)["Cast"] == 2
    assert {"xd", "weight", "z", "y"} <= halves(lowered)
    wanted, found = session(model).run(None, TOKENS)[0], session(lowered.model).run(None, TOKENS)[0]
    assert cosine(wanted, found) > 0.9999


def test_two_runs_give_the_same_file() -> None:
    model = small_net()
    seen = observe(model, PICTURES)
    assert lower_fp16(model, seen) == lower_fp16(model, seen)


def test_what_a_migration_puts_in_front_of_a_layer_is_known_from_what_it_gives() -> None:
    model = behind_a_layer(
        node("Mul", ["x", "divisor"], ["x/divided"], name="divided"),
        node("Add", ["x/divided", "shift"], ["y"], name="migrated"),
        constants={
            "first": normal(8, 8) * np.float32([1e-4, 1, 1, 1, 1, 1, 1, 1]),
            "divisor": np.float32([1e4, 1, 1, 1, 1, 1, 1, 1]),
            "shift": normal(8),
        },
    )
    seen = observe(model, TOKENS)
    del seen["x/divided"]
    assert {"x/divided", "y"} <= halves(lower_fp16(model, seen))
    del seen["y"]  # by x alone it might reach 3e4
    assert halves(lower_fp16(model, seen)) == {"samples.fp16", "x"}


def test_scales_that_fp16_does_not_hold_stay_float32_and_lose_nothing() -> None:
    scale = np.float32(3.3e-5)  # below 2^-14, and no multiple of 2^-24
    model = quantised(float(scale))
    lowered = lower_fp16(model, observe(model, TOKENS))
    stored = {each.name: onnx.numpy_helper.to_array(each) for each in graph_of(lowered).initializer}
    np.testing.assert_array_equal(stored["scales"], np.full(8, scale))
    assert "scales.fp16" not in stored
    assert operators(lowered)["Cast"] == 3
    exactly = quantised(3 * 2.0**-20)  # below 2^-14 as well, but FP16 has it
    assert operators(lower_fp16(exactly, observe(exactly, TOKENS)))["Cast"] == 2


def test_where_everything_is_masked_low_scores_do_not_overflow() -> None:
    low = float(np.finfo(np.float32).min)
    model = masked("add", low, first=-np.full((8, 8), 10, np.float32))
    feeds = {"samples": 1 + np.abs(TOKENS["samples"]), "presence": np.zeros((3, 1, 8), bool)}
    seen = observe(model, {**feeds, "presence": np.ones((3, 1, 8), bool)})
    assert -1000 < seen["x"].low < -80
    assert np.isfinite(exact(lower_fp16(model, seen), feeds)).all()


def test_data_times_a_large_negative_number_is_no_mask() -> None:
    model = behind_a_layer(
        node("Relu", ["x"], ["high"], name="relu"),
        node("Mul", ["high", "low"], ["steep"], name="steep"),
        node("Softmax", ["steep"], ["y"], name="softmax", axis=-1),
        constants={"low": np.float32(-1e6)},
    )
    lowered = lower_fp16(model, observe(model, TOKENS))
    assert list(kept(lowered)) == ["steep", "softmax"]


def test_a_residual_sum_in_front_of_a_spelled_out_norm_stays_fp16() -> None:
    model = behind_a_layer(
        node("MatMul", ["x", "first"], ["branch"], name="branch"),
        node("Add", ["x", "branch"], ["sum"], name="residual"),
        node("Mul", ["sum", "sum"], ["square"], name="square"),
        node("ReduceMean", ["square", "axis"], ["mean"], name="mean"),
        node("Sqrt", ["mean"], ["root"], name="sqrt"),
        node("Div", ["sum", "root"], ["y"], name="divide"),
        constants={},
    )
    seen = observe(model, TOKENS)
    seen |= {name: Range(0, seen[name].high, 1e-9) for name in ("mean", "root")}
    lowered = lower_fp16(model, seen)
    assert list(kept(lowered)) == ["square", "mean", "sqrt", "divide"]
    assert "sum" in halves(lowered)


def test_a_value_that_several_take_is_cast_once() -> None:
    model = onnx_model(
        [
            node("MatMul", ["samples", "one"], ["a"], name="one"),
            node("MatMul", ["samples", "two"], ["b"], name="two"),
            node("Add", ["a", "b"], ["embedding"], name="add"),
        ],
        {"samples": ["batch", 8]},
        {"embedding": ["batch", 8]},
        {"one": normal(8, 8), "two": normal(8, 8, scale=2)},
    )
    lowered = lower_fp16(model, observe(model, {"samples": normal(2, 8)}))
    assert operators(lowered)["Cast"] == 2


def test_a_state_of_zeros_is_made_in_fp16() -> None:
    file = onnx.load_from_string(recurrent())
    del file.graph.input[1:]
    states = [node("Shape", ["samples"], ["rows"], name="rows", end=1)]
    for name in ("h", "c"):
        sizes = [f"{name}_rows", f"{name}_zeros"]
        states.append(node("Concat", ["rows", "six"], sizes[:1], name=sizes[0], axis=0))
        states.append(node("Expand", ["zero", sizes[0]], [name], name=name))
    for each in reversed(states):
        file.graph.node.insert(0, each)
    for name, value in {"six": np.array([6]), "zero": np.float32(0)}.items():
        file.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    model = bytes(file.SerializeToString())
    lowered = lower_fp16(model, observe(model, {"samples": normal(2, 5, 4)}))
    assert list(kept(lowered)) == ["turn"]
    assert operators(lowered)["Cast"] == 4  # the sound in; the embedding and two states out


def test_a_state_that_nothing_bounds_stays() -> None:
    file = onnx.load_from_string(recurrent())
    lstm = next(each for each in file.graph.node if each.op_type == "LSTM")
    lstm.attribute.append(helper.make_attribute("activations", ["Sigmoid", "Relu", "Relu"]))
    model = bytes(file.SerializeToString())
    state = np.zeros((2, 6), np.float32)
    feeds = {"samples": normal(2, 5, 4), "h": state, "c": state}
    lowered = lower_fp16(model, observe(model, feeds))
    assert kept(lowered)["lstm"].startswith("a state that nothing bounds; ")


def test_what_is_fp16_already_stays_as_it_is() -> None:
    model = onnx_model(
        [
            node("Gather", ["table", "ids"], ["tokens"], name="table"),
            node("Cast", ["tokens"], ["x"], name="cast", to=TensorProto.FLOAT),
            node("Relu", ["x"], ["relu"], name="relu"),
            node("MatMul", ["relu", "matrix"], ["embedding"], name="layer"),
        ],
        {"ids": ["batch", 4]},
        {"embedding": ["batch", 4, 8]},
        {"table": normal(9, 8).astype(np.float16), "matrix": normal(8, 8)},
    )
    file = onnx.load_from_string(model)
    file.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    model = file.SerializeToString()
    assert values_to_observe(model) == ("x", "relu", "embedding")
    lowered = lower_fp16(model, observe(model, {"ids": np.array([[1, 2, 0, 0]])}))
    assert {"tokens", "relu", "embedding.fp16"} <= halves(lowered)
    assert lowered.kept == ()
