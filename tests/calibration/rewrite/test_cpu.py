"""INT8 for ONNX Runtime's CPU: what fuses, what is right, what stays float and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from mmedge.calibration.graph import Graph
from mmedge.calibration.lowering import Lowering, Range
from mmedge.calibration.rewrite.cpu import lower_cpu
from mmedge.calibration.rewrite.integers import joined_values
from mmedge.errors import ConfigError
from mmedge.runtime.backends import open_backend
from tests.calibration.kernels import kernels
from tests.fakes import onnx_model

node = helper.make_node


def normal(*shape: int) -> NDArray[np.float32]:
    """Draw from the shape: the same for the same one."""
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def values(model: bytes, *names: str, **feeds: NDArray[Any]) -> list[NDArray[Any]]:
    """Run a graph, and give some of its values instead of its outputs."""
    graph = Graph(model)
    del graph.model.graph.output[:]
    graph.model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(graph.model.SerializeToString(), options)
    return list(session.run(list(names), feeds))


def lowering(layers: str, ranges: Mapping[str, tuple[float, float]], **others: Any) -> Lowering:
    return Lowering(
        int8=frozenset(layers.split()),
        ranges={name: Range(*each) for name, each in ranges.items()},
        **{"weights": "min-max", **others},
    )


def residual() -> bytes:
    """A small picture network: two convolutions, a residual add, a pool, a linear layer."""

    def conv(name: str, value: str) -> Any:
        inputs = [value, f"w_{name}", f"b_{name}"]
        return node("Conv", inputs, [f"{name}.out"], name=name, pads=[1] * 4)

    names = ("stem", "one", "two")
    return onnx_model(
        [
            node("Mul", ["samples", "half"], ["front_end"], name="normalise"),
            conv("stem", "front_end"),
            node("Relu", ["stem.out"], ["stem.relu"], name="relu"),
            node("MaxPool", ["stem.relu"], ["pool"], name="pool", kernel_shape=[2, 2]),
            conv("one", "pool"),
            node("Clip", ["one.out", "zero", "six"], ["one.clip"], name="clip"),
            conv("two", "one.clip"),
            node("Add", ["two.out", "pool"], ["sum"], name="add"),
            node("Relu", ["sum"], ["sum.relu"], name="last"),
            node("GlobalAveragePool", ["sum.relu"], ["mean"], name="mean"),
            node("Flatten", ["mean"], ["flat"], name="flatten"),
            node("Gemm", ["flat", "w", "b"], ["embedding"], name="gemm", transB=1),
        ],
        {"samples": ["batch", 4, 6, 6]},
        {"embedding": ["batch", 3]},
        {
            "half": np.float32(0.5),
            "zero": np.float32(0),
            "six": np.float32(6),
            **{f"w_{name}": normal(4, 4, 3, 3) / 6 for name in names},
            **{f"b_{name}": normal(4) for name in names},
            "w": normal(3, 4),
            "b": normal(3),
        },
    )


LAYERS = "stem one two gemm"
SAMPLES = normal(16, 4, 6, 6)


def observed(model: bytes, samples: NDArray[np.float32]) -> dict[str, tuple[float, float]]:
    """Ranges of every value that a layer takes or gives."""
    names = ["front_end", "stem.out", "pool", "one.out", "one.clip", "two.out", "sum.relu", "flat"]
    found = values(model, *names, samples=samples)
    return {n: (min(0.0, a.min()), max(0.0, a.max())) for n, a in zip(names, found, strict=True)}


RANGES = observed(residual(), SAMPLES)


def test_everything_between_the_first_and_the_last_layer_runs_in_integers(tmp_path: Path) -> None:
    lowered = lower_cpu(residual(), lowering(LAYERS, RANGES))
    assert (lowered.int8, lowered.kept) == (("stem", "one", "two", "gemm"), ())
    found = kernels(lowered.model, tmp_path)
    assert {name: count for name, count in found.items() if name.startswith("Q")} == {
        "QuantizeLinear": 1,
        "QLinearConv": 3,
        "QLinearAdd": 1,
        "QLinearGlobalAveragePool": 1,
        "QGemm": 1,
    }
    assert found["DequantizeLinear"] == 0


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("instructions", [(), ("vnni",)])
def test_the_answer_stays_within_what_rounding_does(
    batch: int, instructions: tuple[str, ...]
) -> None:
    lowered = lower_cpu(residual(), lowering(LAYERS, RANGES, instructions=instructions))
    (exact,) = values(residual(), "embedding", samples=SAMPLES[:batch])
    (float_sums,) = simulated(lowered.model, SAMPLES[:batch])
    np.testing.assert_allclose(float_sums, exact, atol=0.1)
    if not instructions:  # right on every CPU, this one included
        (integers,) = values(lowered.model, "embedding", samples=SAMPLES[:batch])
        np.testing.assert_allclose(integers, float_sums, atol=0.03)


def simulated(model: bytes, samples: NDArray[np.float32]) -> list[NDArray[Any]]:
    with open_backend("cpu", model, what="graph", simulate=True) as backend:
        return list(backend.run({"samples": samples}).values())


def test_without_vnni_the_steps_of_weights_are_as_fine_as_their_pairs_allow() -> None:
    narrow = lower_cpu(residual(), lowering(LAYERS, RANGES))
    wide = lower_cpu(residual(), lowering(LAYERS, RANGES, instructions=("vnni",)))
    assert (narrow.instructions, wide.instructions) == ((), ("vnni",))
    steps = []
    for lowered in (narrow, wide):
        stored = Graph(lowered.model).constant("one/int8")
        assert stored is not None
        assert stored.dtype == np.int8
        steps.append(np.abs(stored.astype(int)).reshape(4, -1).max(axis=1).tolist())
    # 7 bits would leave 64 to each channel.
    assert steps[1] == [127] * 4
    assert all(64 <= each <= 127 for each in steps[0])
    assert sum(steps[0]) > 4 * 75


def test_activations_are_affine_uint8_and_a_relu_is_what_saturation_does() -> None:
    graph = Graph(lower_cpu(residual(), lowering(LAYERS, RANGES)).model)
    low, high = RANGES["front_end"]
    scale, zero = (graph.constant(f"front_end/{each}") for each in ("scale", "zero"))
    assert scale is not None
    assert zero is not None
    np.testing.assert_allclose(scale, (high - low) / 255, rtol=1e-6)
    assert (zero.dtype, int(zero)) == (np.uint8, round(-low / float(scale)))
    for name in ("stem.relu", "one.clip", "sum.relu"):
        zero = graph.constant(f"{name}/zero")
        assert zero is None or int(zero) == 0
    assert {"relu", "clip"}.isdisjoint(each.name for each in graph.nodes)


def test_ranges_of_joined_values_are_asked_for_where_they_help() -> None:
    assert joined_values(Graph(residual())) == ("sum.relu", "mean")


def test_a_value_that_is_only_moved_keeps_its_scale() -> None:
    graph = Graph(lower_cpu(residual(), lowering(LAYERS, RANGES)).model)
    one, other = (graph.constant(f"{name}/scale") for name in ("stem.relu", "pool"))
    assert one is not None
    assert one == other


def test_a_bias_is_int32_in_the_steps_of_the_sums() -> None:
    graph = Graph(lower_cpu(residual(), lowering(LAYERS, RANGES)).model)
    stored, scales = (graph.constant(f"gemm/{name}") for name in ("int32", "int32_scales"))
    assert stored is not None
    assert scales is not None
    assert stored.dtype == np.int32
    np.testing.assert_allclose(stored * scales, normal(3), atol=float(scales.max()))


def test_a_bias_far_above_its_weights_does_not_overflow() -> None:
    model = linear("Gemm", normal(4, 3) * np.float32([1e-9, 1, 1]), np.float32([50, 0, 0]))
    lowered = lower_cpu(model, lowering("layer", {"samples": (-4.0, 4.0)}))
    (found,) = values(lowered.model, "embedding", samples=normal(2, 4))
    np.testing.assert_allclose(found[:, 0], 50, rtol=1e-3)


def linear(
    kind: str, weight: NDArray[Any], bias: NDArray[Any] | None = None, **others: Any
) -> bytes:
    names = ["samples", "weight"] + ["bias"] * (bias is not None)
    return onnx_model(
        [node(kind, names, ["embedding"], name="layer", **others)],
        {"samples": ["batch", weight.shape[1 if others.get("transB") else 0]]},
        {"embedding": ["batch", weight.shape[0 if others.get("transB") else 1]]},
        {"weight": weight, **({} if bias is None else {"bias": bias})},
    )


def test_a_product_with_a_matrix_gives_floats_with_a_scale_per_column(tmp_path: Path) -> None:
    columns = np.float32([1, 10, 100, 1000, 1e4])
    model = linear("MatMul", normal(8, 5) * columns)
    lowered = lower_cpu(model, lowering("layer", {"samples": (-4.0, 4.0)}))
    assert kernels(lowered.model, tmp_path) == {"QuantizeLinear": 1, "MatMulIntegerToFloat": 1}
    samples = normal(6, 8)
    (exact,), (found,) = (values(m, "embedding", samples=samples) for m in (model, lowered.model))
    np.testing.assert_allclose(found / columns, exact / columns, atol=0.2)


@pytest.mark.parametrize(
    ("model", "ranges", "why"),
    [
        (linear("MatMul", normal(4, 3)), {}, "no range of samples was observed"),
        (
            linear("MatMul", normal(4, 3)),
            {"samples": (0.0, 0.0)},
            "samples was never anything but zero",
        ),
        (linear("Gemm", normal(4, 3), alpha=2.0), None, "its alpha is 2.0, not 1"),
        (
            onnx_model(
                [node("MatMul", ["samples", "samples"], ["embedding"], name="layer")],
                {"samples": ["batch", 4, 4]},
                {"embedding": ["batch", 4, 4]},
            ),
            None,
            "it multiplies two activations",
        ),
        (
            onnx_model(
                [node("MatMul", ["weight", "samples"], ["embedding"], name="layer")],
                {"samples": ["batch", 4, 4]},
                {"embedding": ["batch", 4, 4]},
                {"weight": normal(4, 4)},
            ),
            None,
            "its weight is the left factor",
        ),
        (
            onnx_model(
                [node("ConvTranspose", ["samples", "weight"], ["embedding"], name="layer")],
                {"samples": ["batch", 4, 4]},
                {"embedding": ["batch", 4, 4]},
                {"weight": normal(4, 4, 1)},
            ),
            None,
            "ONNX Runtime has no INT8 form of ConvTranspose on the CPU",
        ),
        (
            onnx_model(
                [node("Conv", ["samples", "weight"], ["embedding"], name="layer")],
                {"samples": ["batch", 4, 4]},
                {"embedding": ["batch", 4, 4]},
                {"weight": normal(4, 4, 1)},
            ),
            None,
            "it gives the graph's output, and its INT8 form would give integers",
        ),
    ],
)
def test_what_has_no_fast_form_stays_float_and_says_why(
    model: bytes, ranges: Mapping[str, tuple[float, float]] | None, why: str
) -> None:
    given = {"samples": (-3.0, 3.0), "embedding": (-9.0, 9.0)} if ranges is None else ranges
    lowered = lower_cpu(model, lowering("layer", given))
    assert lowered.int8 == ()
    assert [(each.layer, each.precision, each.why) for each in lowered.kept] == [
        ("layer", "fp32", why)
    ]
    before, after = (Graph(each) for each in (model, lowered.model))
    assert list(before.nodes) == list(after.nodes)


def test_a_layer_of_the_front_end_cannot_be_asked_for() -> None:
    with pytest.raises(ConfigError, match="no layers behind the front-end: normalise"):
        lower_cpu(residual(), lowering("one normalise", RANGES))


def test_only_the_layers_that_are_asked_for_change(tmp_path: Path) -> None:
    lowered = lower_cpu(residual(), lowering("two", RANGES))
    assert lowered.int8 == ("two",)
    found = kernels(lowered.model, tmp_path)
    assert (found["QLinearConv"], found["Conv"] + found["FusedConv"]) == (1, 2)
    (exact,), (close,) = (
        values(model, "embedding", samples=SAMPLES) for model in (residual(), lowered.model)
    )
    np.testing.assert_allclose(close, exact, atol=0.06)


def test_what_training_has_quantised_stays_to_the_bit() -> None:
    once = lower_cpu(residual(), lowering(LAYERS, RANGES))
    again = lower_cpu(once.model, lowering(LAYERS, {}))
    assert (again.int8, again.kept) == (once.int8, ())
    assert again.model == once.model


def pictures(order: str, factor: Any, offset: Any | None) -> bytes:
    """uint8 ``[B, 5, 7, 3]`` turned into a normalised ``front_end``, then a convolution."""
    steps = {
        "Cast": ("Cast", [], {"to": TensorProto.FLOAT}),
        "Transpose": ("Transpose", [], {"perm": [0, 3, 1, 2]}),
        "Mul": ("Mul", ["factor"], {}),
        "Div": ("Div", ["factor"], {}),
        "Add": ("Add", ["offset"], {}),
    }
    nodes, value = [], "frames"
    for index, name in enumerate(order.split()):
        operator, more, options = steps[name]
        made = "front_end" if index == len(order.split()) - 1 else name.lower()
        nodes.append(node(operator, [value, *more], [made], name=f"front/{name}", **options))
        value = made
    nodes.append(node("Conv", ["front_end", "weight"], ["conv"], name="conv", pads=[1] * 4))
    nodes.append(node("Relu", ["conv"], ["relu"], name="relu"))
    nodes.append(node("ReduceMean", ["relu", "axes"], ["embedding"], name="mean", keepdims=0))
    given = {"factor": factor, "offset": offset, "weight": normal(2, 3, 3, 3)}
    constants = {name: np.float32(each) for name, each in given.items() if each is not None}
    return onnx_model(
        nodes,
        {"frames": ["batch", 5, 7, 3]},
        {"embedding": ["batch", 2]},
        {**constants, "axes": np.int64([2, 3])},
        element=TensorProto.UINT8,
    )


FRAMES = np.random.default_rng(3).integers(0, 256, (4, 5, 7, 3), dtype=np.uint8)
PER_CHANNEL = [[[0.1]], [[0.2]], [[0.3]]]


@pytest.mark.parametrize(
    ("order", "factor", "offset", "after"),
    [
        ("Cast Transpose Mul Add", PER_CHANNEL, PER_CHANNEL, "Transpose DequantizeLinear Add"),
        ("Cast Transpose Mul", PER_CHANNEL, None, "Transpose DequantizeLinear"),
        ("Cast Mul Transpose", [0.1, 0.2, 0.3], None, "Transpose DequantizeLinear"),
        ("Cast Mul Transpose", 1 / 255, None, "Transpose DequantizeLinear"),
        # (x - 127) / 128 is exact in float32, so the offset is a zero-point.
        ("Cast Transpose Mul Add", 1 / 128, -127 / 128, "Transpose DequantizeLinear"),
        ("Cast Transpose Mul Add", 1 / 255, -0.5, "Transpose DequantizeLinear Add"),
        # Left alone: pixels meet something else first.
        ("Cast Transpose Add Mul", PER_CHANNEL, PER_CHANNEL, "Cast Transpose Add Mul"),
    ],
)
def test_a_picture_is_turned_while_it_is_bytes_and_its_numbers_stay(
    order: str, factor: Any, offset: Any, after: str
) -> None:
    model = uint8_in(pictures(order, factor, offset))
    lowered = lower_cpu(model, lowering("", {}))
    kinds = [each.op_type for each in Graph(lowered.model).nodes]
    assert kinds == [*after.split(), "Conv", "Relu", "ReduceMean"]
    for name in ("front_end", "embedding"):
        (before,), (found,) = (values(each, name, frames=FRAMES) for each in (model, lowered.model))
        np.testing.assert_array_equal(found, before)
        assert found.dtype == np.float32


def uint8_in(model: bytes) -> bytes:
    """Declare the output float again: the drawer has one type for all."""
    graph = Graph(model)
    graph.model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    return graph.to_bytes()


def test_a_division_is_a_product_to_a_rounding() -> None:
    model = uint8_in(pictures("Cast Transpose Div", 255.0, None))
    lowered = lower_cpu(model, lowering("", {}))
    assert [each.op_type for each in Graph(lowered.model).nodes][:2] == [
        "Transpose",
        "DequantizeLinear",
    ]
    (before,), (found,) = (values(m, "front_end", frames=FRAMES) for m in (model, lowered.model))
    np.testing.assert_allclose(found, before, rtol=2e-7)


def test_a_picture_with_one_scale_goes_into_the_first_convolution_as_it_is(tmp_path: Path) -> None:
    model = uint8_in(pictures("Cast Transpose Mul", 1 / 255, None))
    ranges = {"front_end": (0.0, 1.0), "relu": (0.0, 3.0)}
    found = kernels(lower_cpu(model, lowering("conv", ranges)).model, tmp_path)
    assert found == {"Transpose": 1, "QLinearConv": 1, "DequantizeLinear": 1, "ReduceMean": 1}
