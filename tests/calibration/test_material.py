"""An encoder before it is lowered, and what of it no range is made from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pytest
from onnx import helper

from mmedge.calibration.candidate import REWRITES
from mmedge.calibration.lowering import Lowering
from mmedge.calibration.material import Material, prepare_material
from mmedge.runtime.backends import Arrays, open_backend
from tests.fakes import onnx_model

Target = Literal["tensorrt", "cpu"]
draw = np.random.default_rng(0)
SAMPLES = draw.normal(size=(16, 8)).astype(np.float32)


def encoder(bad: float) -> bytes:
    """Two products; the second takes what is ``bad`` wherever its input is negative."""
    node = helper.make_node
    return onnx_model(
        [
            node("MatMul", ["samples", "first"], ["one"], name="first"),
            node("Less", ["one", "zero"], ["negative"], name="less"),
            node("Where", ["negative", "bad", "one"], ["spoiled"], name="where"),
            node("MatMul", ["spoiled", "second"], ["two"], name="second"),
            node("Where", ["negative", "zero", "two"], ["told"], name="told"),
            node("MatMul", ["told", "third"], ["embedding"], name="third"),
        ],
        {"samples": ["batch", 8]},
        {"embedding": ["batch", 8]},
        {
            "first": np.eye(8, dtype=np.float32) + 0.1,
            "second": np.eye(8, dtype=np.float32),
            "third": draw.normal(size=(8, 8)).astype(np.float32),
            "zero": np.float32(0),
            "bad": np.float32(bad),
        },
    )


def feeds() -> Iterator[Arrays]:
    yield {"samples": SAMPLES}


def prepared(bad: float, target: Target) -> Material:
    return prepare_material("ear", encoder(bad), feeds, target)


@pytest.mark.parametrize("target", ["tensorrt", "cpu"])
@pytest.mark.parametrize(
    ("bad", "said"), [(np.nan, "NaN"), (np.inf, "infinite"), (-3.0e38, "masks")]
)
def test_what_takes_no_numbers_is_named_and_not_lowered(
    target: Target, bad: float, said: str
) -> None:
    material = prepared(bad, target)
    assert [layer.name for layer in material.layers] == ["first", "second", "third"]
    assert f" {said} of 128 numbers" in material.left_out["spoiled"]
    assert set(material.unfit) >= {"second"}
    assert "second" not in {layer.name for layer in material.lowerable}
    assert "first" in {layer.name for layer in material.lowerable}
    lowered = lower(material, target, rest="fp32")
    assert "first" in lowered
    assert "second" not in lowered


@pytest.mark.parametrize("target", ["tensorrt", "cpu"])
def test_where_all_are_numbers_nothing_is_left_out(target: Target) -> None:
    material = prepared(0.0, target)
    assert (material.left_out, material.unfit) == ({}, {})
    assert len(material.lowerable) == 3


@pytest.mark.parametrize("target", ["tensorrt", "cpu"])
@pytest.mark.parametrize("rest", ["fp32", "fp16"])
def test_a_value_that_is_never_a_number_is_no_crash(
    target: Target, rest: Literal["fp32", "fp16"]
) -> None:
    def spoiled() -> Iterator[Arrays]:
        yield {"samples": -np.ones((16, 8), np.float32)}  # so ``spoiled`` is NaN throughout

    material = prepare_material("ear", encoder(np.nan), spoiled, target)
    assert material.left_out["spoiled"] == "128 NaN of 128 numbers"
    assert "spoiled" not in material.ranges("entropy", symmetric=target == "tensorrt")
    if rest == "fp32" or target == "tensorrt":
        assert "second" not in lower(material, target, rest=rest)


def lower(material: Material, target: Target, *, rest: Literal["fp32", "fp16"]) -> tuple[str, ...]:
    """Lower all that can be, and run it."""
    lowered = REWRITES[target](
        material.model,
        Lowering(
            int8=frozenset(layer.name for layer in material.lowerable),
            ranges=material.ranges("min-max", symmetric=target == "tensorrt"),
            seen=material.seen,
            means=material.means,
            rest=rest,
        ),
    )
    with open_backend("cpu", lowered.model, what="ear", simulate=target == "tensorrt") as backend:
        outputs = backend.run({"samples": SAMPLES})
    assert outputs["embedding"].dtype == np.float32
    return lowered.int8
