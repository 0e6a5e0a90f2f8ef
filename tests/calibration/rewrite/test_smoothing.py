"""Migration: the same answers, easier to round."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from mmedge.calibration.channels import ChannelObserver
from mmedge.calibration.graph import Graph
from mmedge.calibration.layers import find_layers
from mmedge.calibration.lowering import Lowering, Range
from mmedge.calibration.rewrite.migrated import Migrated
from mmedge.calibration.rewrite.smoothing import migratable, migrate
from mmedge.calibration.rewrite.tensorrt import lower_tensorrt
from mmedge.runtime.backends import open_backend
from tests.fakes import onnx_model

node = helper.make_node
RANDOM = np.random.default_rng(7)
SAMPLES = RANDOM.normal(size=(400, 5, 16)).astype(np.float32)


def block() -> bytes:
    """Normalise, two layers side by side, attend, GELU, a layer, its input added again."""
    random = np.random.default_rng(1)
    scale, bias = np.ones(16, np.float32), np.zeros(16, np.float32)
    scale[3], bias[3] = 30.0, 40.0  # a channel as transformers have them: large, to one side
    weights = {
        name: random.normal(size=(16, 16)).astype(np.float32) / 4 for name in ("q", "k", "o", "m")
    }
    return onnx_model(
        [
            node("LayerNormalization", ["samples", "scale", "bias"], ["normal"], name="norm"),
            node("MatMul", ["normal", "q"], ["query"], name="query"),
            node("MatMul", ["normal", "k"], ["key"], name="key"),
            node("Add", ["key", "b"], ["biased"], name="key.bias"),
            node("Transpose", ["biased"], ["turned"], name="turn", perm=[0, 2, 1]),
            node("MatMul", ["query", "turned"], ["scores"], name="scores"),
            node("Softmax", ["scores"], ["weights"], name="softmax"),
            node("MatMul", ["weights", "query"], ["mixed"], name="mix"),
            node("MatMul", ["mixed", "o"], ["left"], name="leave"),
            node("Gelu", ["left"], ["gelu"], name="gelu"),
            node("MatMul", ["gelu", "m"], ["out"], name="mlp"),
            node("Add", ["out", "gelu"], ["embedding"], name="again"),
        ],
        {"samples": ["batch", 5, 16]},
        {"embedding": ["batch", 5, 16]},
        {"scale": scale, "bias": bias, "b": np.ones(16, np.float32), **weights},
    )


def observed(model: bytes, values: tuple[str, ...]) -> ChannelObserver:
    observer = ChannelObserver(model, dict.fromkeys(values, -1))
    observer.add({"samples": SAMPLES})
    return observer


def migrated(model: bytes, *, shift: bool = True) -> Migrated:
    return migrate(model, observed(model, tuple(migratable(Graph(model)))).channels, shift=shift)


def run(model: bytes, samples: NDArray[np.float32] = SAMPLES) -> NDArray[np.float32]:
    with open_backend("cpu", model, what="graph", simulate=True) as backend:
        return np.asarray(backend.run({"samples": samples})["embedding"], np.float32)


def test_what_dense_layers_take_can_be_migrated_but_not_what_an_attention_gives() -> None:
    found = migratable(Graph(block()))
    assert {value: [each.name for each in layers] for value, layers in found.items()} == {
        "normal": ["query", "key"],
        "gelu": ["mlp"],
    }


@pytest.mark.parametrize("shift", [True, False])
def test_the_answers_stay_the_same(shift: bool) -> None:
    changed = migrated(block(), shift=shift).model
    np.testing.assert_allclose(run(changed), run(block()), atol=1e-3)


def test_a_normalisation_that_only_such_layers_take_needs_no_operator_more() -> None:
    before, after = Graph(block()), Graph(migrated(block()).model)
    added = [each for each in after.nodes if each.name not in {e.name for e in before.nodes}]
    # The rest: a bias for the query, which has none, and the change of gelu, which is added too.
    assert sorted(each.output[0] for each in added) == [
        "gelu/divided",
        "gelu/migrated",
        "out",
        "query",
    ]
    (again,) = (each for each in after.nodes if each.name == "again")
    assert list(again.input) == ["out", "gelu"]
    assert not np.array_equal(after.constant("scale"), before.constant("scale"))


def test_what_is_told_of_the_new_values_is_what_is_seen_of_them() -> None:
    changed = migrated(block())
    assert sorted(changed.channels) == ["gelu/migrated", "normal"]
    seen = observed(changed.model, tuple(changed.channels)).channels
    for name, told in changed.channels.items():
        for one, other in ((told.low, seen[name].low), (told.mean, seen[name].mean)):
            np.testing.assert_allclose(one, other, atol=1e-4 * told.largest)
        # As a whole it is no larger than before, and every channel lies around zero.
        np.testing.assert_allclose(told.low, -told.high, atol=0.02 * told.largest)


def noise(changed: Migrated | bytes, *, means: bool = True) -> float:
    """Power of what INT8 adds to the answers, over theirs."""
    model = changed if isinstance(changed, bytes) else changed.model
    channels = {} if isinstance(changed, bytes) else changed.channels
    layers = find_layers(Graph(model))
    values = {value for layer in layers for value in layer.activations}
    seen = observed(model, tuple(values)).channels
    lowering = Lowering(
        int8=frozenset(layer.name for layer in layers if layer.weight),
        ranges={name: Range(-each.largest, each.largest) for name, each in seen.items()},
        means={name: each.mean for name, each in channels.items()} if means else {},
    )
    exact, found = run(block()), run(lower_tensorrt(model, lowering).model)
    return float(np.square(found - exact).sum() / np.square(exact).sum())


def test_int8_loses_less_with_the_shift_least_of_all() -> None:
    plain = noise(block())
    divided = noise(migrated(block(), shift=False))
    both = noise(migrated(block()))
    assert divided < plain / 3
    assert both < divided / 1.5


def test_what_was_seen_in_too_few_rows_stays_as_it_is() -> None:
    observer = ChannelObserver(block(), {"normal": -1, "gelu": -1})
    observer.add({"samples": SAMPLES[:300]})
    assert {each.rows for each in observer.channels.values()} == {1500}
    changed = migrate(block(), observer.channels)
    assert changed.channels == {}
    assert {e.name for e in Graph(changed.model).nodes} == {e.name for e in Graph(block()).nodes}


def test_a_channel_that_was_never_anything_but_zero_stays_finite() -> None:
    model = onnx_model(
        [node("MatMul", ["samples", "weight"], ["embedding"], name="layer")],
        {"samples": ["batch", 5, 16]},
        {"embedding": ["batch", 5, 2]},
        {"weight": np.zeros((16, 2), np.float32)},
    )
    changed = migrated(model).model
    assert np.isfinite(run(changed, np.zeros((2, 5, 16), np.float32))).all()
