"""What is seen while a graph runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from mmedge.calibration.lowering import Range
from mmedge.calibration.observing import Observer, left_out
from mmedge.errors import ArtefactError, ConfigError
from tests.fakes import onnx_model

node = helper.make_node
draw = np.random.default_rng(0)
SAMPLES = draw.normal(size=(48, 6, 32)).astype(np.float32)
INNER = ("samples", "wide", "cut", "embedding")


MATRIX = draw.normal(size=(32, 300)).astype(np.float32)


def network() -> bytes:
    return onnx_model(
        [
            node("MatMul", ["samples", "matrix"], ["wide"], name="product"),
            node("Relu", ["wide"], ["cut"], name="relu"),
            node("ReduceMean", ["cut", "axis"], ["embedding"], name="mean", keepdims=0),
        ],
        {"samples": ["batch", 6, 32]},
        {"embedding": ["batch", 300]},
        {"matrix": MATRIX, "axis": np.int64([1])},
    )


MODEL = network()


def observed(samples: NDArray[np.float32], batch: int, **options: Any) -> dict[str, Any]:
    observer = Observer(MODEL, INNER, **options)
    for begin in range(0, len(samples), batch):
        observer.add({"samples": samples[begin : begin + batch]})
    return {
        name: (each.minimum, each.maximum, each.least, each.zeros, each.counts.tobytes())
        for name, each in observer.histograms.items()
    }


def test_inputs_inner_values_and_outputs_are_seen_as_numpy_computes_them() -> None:
    observer = Observer(MODEL, INNER)
    observer.add({"samples": SAMPLES})
    assert tuple(observer.histograms) == INNER
    assert {n: h.total for n, h in observer.histograms.items()} == {
        "samples": 48 * 6 * 32,
        "wide": 48 * 6 * 300,
        "cut": 48 * 6 * 300,
        "embedding": 48 * 300,
    }
    taken = observer.histograms["samples"]
    assert (taken.minimum, taken.maximum) == (SAMPLES.min(), SAMPLES.max())
    wide, cut = observer.histograms["wide"], observer.histograms["cut"]
    assert (wide.minimum < 0, cut.minimum, cut.maximum) == (True, 0, wide.maximum)
    expected = np.maximum(SAMPLES.astype(np.float64) @ MATRIX, 0)
    assert cut.maximum == pytest.approx(expected.max(), rel=1e-5)
    assert cut.zeros == np.count_nonzero(expected == 0)


def test_neither_batch_nor_order_nor_run_changes_what_is_seen() -> None:
    whole = observed(SAMPLES, 32)
    for batch in (1, 5, 48):
        assert observed(SAMPLES, batch) == whole
    assert observed(SAMPLES[::-1], 1) == whole
    assert observed(SAMPLES[draw.permutation(48)], 32) == whole


def test_a_value_that_is_named_twice_counts_once() -> None:
    observer = Observer(MODEL, ("cut", "cut"))
    observer.add({"samples": SAMPLES[:1]})
    assert observer.histograms["cut"].total == 6 * 300


def test_with_nothing_but_inputs_to_see_nothing_is_run() -> None:
    observer = Observer(MODEL, ("samples",))
    observer.add({"samples": SAMPLES, "unknown": SAMPLES})
    assert observer.histograms["samples"].total == SAMPLES.size


def attention(masked: float, *, chosen: bool = False) -> bytes:
    """Scores of 4 tokens, of which a mask leaves some out, added or chosen."""
    added = [
        node("Cast", ["presence"], ["mask"], name="mask", to=TensorProto.FLOAT),
        node("Sub", ["one", "mask"], ["absent"], name="absent"),
        node("Mul", ["absent", "masked"], ["bias"], name="bias"),
        node("Add", ["scores", "bias"], ["biased"], name="biased"),
    ]
    where = [node("Where", ["presence", "scores", "masked"], ["biased"], name="biased")]
    return onnx_model(
        [
            node("Transpose", ["tokens"], ["turned"], name="turned", perm=[0, 2, 1]),
            node("MatMul", ["tokens", "turned"], ["scores"], name="scores"),
            *(where if chosen else added),
            node("Softmax", ["biased"], ["embedding"], name="softmax", axis=-1),
        ],
        {"tokens": ["batch", 4, 8], "presence": ["batch", 1, 4]},
        {"embedding": ["batch", 4, 4]},
        {"one": np.float32(1), "masked": np.float32(masked)},
    )


TOKENS = draw.normal(size=(3, 4, 8)).astype(np.float32)
PRESENCE = np.array([[[1, 1, 1, 1]], [[1, 1, 0, 0]], [[0, 0, 0, 0]]], bool)
LOWEST = float(np.finfo(np.float32).min)


@pytest.mark.parametrize("masked", [LOWEST, -1e9, -65504.0])
def test_masks_before_a_softmax_are_no_data(masked: float) -> None:
    observer = Observer(attention(masked), ("bias", "scores", "biased", "embedding"))
    observer.add({"tokens": TOKENS, "presence": PRESENCE})
    seen = observer.histograms
    assert (seen["bias"].masks, seen["biased"].masks, seen["scores"].masks) == (6, 24, 0)
    assert seen["bias"].extremes == Range(0, 0)
    assert seen["biased"].minimum >= seen["scores"].minimum
    assert left_out(seen) == {
        "bias": "6 masks of 12 numbers",
        "biased": "24 masks of 48 numbers",
    }


@pytest.mark.parametrize("masked", [LOWEST, -1e9])
def test_masks_that_are_chosen_are_no_data_either(masked: float) -> None:
    observer = Observer(attention(masked, chosen=True), ("biased",))
    observer.add({"tokens": TOKENS, "presence": PRESENCE})
    assert left_out(observer.histograms) == {"biased": "24 masks of 48 numbers"}
    assert observer.histograms["biased"].minimum > -100


def test_data_that_is_scaled_by_a_large_negative_number_is_no_mask() -> None:
    model = onnx_model(
        [
            node("Mul", ["samples", "steep"], ["scaled"], name="scaled"),
            node("Softmax", ["scaled"], ["embedding"], name="softmax", axis=-1),
        ],
        {"samples": ["batch", 4]},
        {"embedding": ["batch", 4]},
        {"steep": np.float32(-1e6)},
    )
    observer = Observer(model, ("scaled",))
    observer.add({"samples": np.float32([[1, 2, 0, 0]])})
    assert observer.histograms["scaled"].minimum == -2e6


def test_a_number_like_a_mask_is_data_where_no_softmax_follows() -> None:
    observer = Observer(MODEL, ("samples",))
    observer.add({"samples": np.full((1, 6, 32), -32_768, np.float32)})
    assert observer.histograms["samples"].minimum == -32_768


def test_nan_is_seen_where_it_begins() -> None:
    """Minus infinity masks everything: the softmax of nothing is no number."""
    observer = Observer(attention(-np.inf, chosen=True), ("scores", "biased", "embedding"))
    observer.add({"tokens": TOKENS[2:], "presence": PRESENCE[2:]})
    assert left_out(observer.histograms) == {
        "biased": "16 infinite of 16 numbers",
        "embedding": "16 NaN of 16 numbers",
    }
    assert observer.histograms["embedding"].extremes == Range(0, 0)


def test_a_value_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="no such values in the graph: nothing, none"):
        Observer(MODEL, ("wide", "nothing", "none"))


def test_samples_that_do_not_fit_are_an_error() -> None:
    observer = Observer(MODEL, ("wide",))
    with pytest.raises(ArtefactError, match="'fake' fails on a sample"):
        observer.add({"samples": SAMPLES[:, :, :3]})


def test_what_is_no_onnx_file_is_refused() -> None:
    with pytest.raises(ArtefactError, match="no ONNX file"):
        Observer(b"graph", ("wide",))
