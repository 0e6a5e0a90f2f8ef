from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from mmedge.bundle import Bundle, save_bundle
from mmedge.errors import ArtefactError, ConfigError, ProofError
from mmedge.manifest import FUSION
from mmedge.proof.parity import Parity
from mmedge.proof.trust import load_golden
from mmedge.proof.verify import verify
from tests.fakes import NAMES, encoder_graph, head_graph, linear_bundle, with_golden, with_graph

Run = Callable[..., tuple[int, str, str]]

WEIGHTS = {"level": np.float32([[[1], [2]], [[3], [4]]])}


@pytest.fixture(scope="module")
def linear() -> Bundle:
    return linear_bundle(2, weights=WEIGHTS)


def failures(parity: Parity) -> set[str]:
    return {finding.point for finding in parity.findings if not finding.passed}


def with_weight_moved(model: bytes) -> bytes:
    """The largest float tensor of a graph, each number a hundredth larger."""
    proto = onnx.load_model_from_string(model)
    floats = [t for t in proto.graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    largest = max(floats, key=lambda tensor: int(np.prod(tensor.dims)))
    moved = numpy_helper.to_array(largest) * np.float32(1.01)
    largest.CopyFrom(numpy_helper.from_array(moved, largest.name))
    return bytes(proto.SerializeToString())


def test_the_shipped_bundle_passes_at_every_point(demo: Bundle) -> None:
    parity = verify(demo, threads=1)
    assert parity.passed
    assert list(parity.by_point()) == [
        "camera/frames",
        "hint/ids",
        "hint/mask",
        "mic/samples",
        "camera/front_end",
        "mic/front_end",
        "camera/embedding",
        "mic/embedding",
        "hint/embedding",
        "hint/tokens_mask",
        "fusion/digit",
        "absent slots/digit",
        "end to end/digit",
    ]
    assert (parity.backend, parity.plan, parity.inputs) == ("cpu", "fp32", "seeded")


@pytest.mark.parametrize("modalities", [1, 2, 3, 6])
def test_every_subset_is_compared_at_batches_of_1_2_and_5(modalities: int) -> None:
    parity = verify(linear_bundle(modalities))
    assert parity.passed
    for way in ("fusion/level", "end to end/level"):
        seen = {(f.subset, f.batch) for f in parity.findings if f.point == way}
        assert len(seen) == 3 * 2**modalities
        assert {batch for _, batch in seen} == {1, 2, 5}
        assert ("nothing", 5) in seen
        assert ("+".join(NAMES[:modalities]), 1) in seen


def test_an_altered_output_is_found_at_the_head(linear: Bundle) -> None:
    golden = load_golden(linear)
    outputs = {"level": golden.outputs["level"].copy()}
    outputs["level"][1, 2] += 0.01  # the second subset, the third sample
    parity = verify(with_golden(linear, replace(golden, outputs=outputs).to_bytes()))
    assert failures(parity) == {"fusion/level", "end to end/level"}
    assert parity.first_failure is not None
    assert (parity.first_failure.subset, parity.first_failure.sample) == ("ant", 2)


@pytest.mark.parametrize(
    ("change", "points"),
    [
        ({"inputs": "bee"}, {"bee/samples", "bee/front_end", "bee/embedding"}),
        ({"front_ends": "bee"}, {"bee/front_end"}),
        ({"embeddings": "bee"}, {"bee/embedding", "fusion/level"}),
    ],
    ids=["inputs", "front_ends", "embeddings"],
)
def test_an_altered_sample_is_found_where_it_stands(
    linear: Bundle, change: dict[str, str], points: set[str]
) -> None:
    golden = load_golden(linear)
    ((field, name),) = change.items()
    table: dict[str, Any] = dict(getattr(golden, field))
    old = table[name]
    if isinstance(old, dict):
        table[name] = {key: array + np.float32(0.01) for key, array in old.items()}
    else:
        table[name] = old + np.float32(0.01)
    parity = verify(with_golden(linear, replace(golden, **{field: table}).to_bytes()))
    assert failures(parity) == points


def test_an_altered_raw_sample_is_found_at_the_inputs(linear: Bundle) -> None:
    golden = load_golden(linear)
    raw = {**golden.raw, "ant": tuple(np.asarray(each) * 0.5 for each in golden.raw["ant"])}
    parity = verify(with_golden(linear, replace(golden, raw=raw).to_bytes()))
    assert failures(parity) == {"ant/samples", "end to end/level"}


def test_a_wrong_encoder_is_found_and_the_head_is_cleared(linear: Bundle) -> None:
    parity = verify(with_graph(linear, "bee", encoder_graph(factor=2.01)))
    assert failures(parity) == {"bee/front_end", "bee/embedding", "end to end/level"}


def test_a_wrong_head_is_found_and_the_encoders_are_cleared(linear: Bundle) -> None:
    moved = {"level": WEIGHTS["level"] * np.float32([[[1.0]], [[1.01]]])}
    parity = verify(with_graph(linear, FUSION, head_graph(NAMES[:2], moved)))
    assert failures(parity) == {"fusion/level", "end to end/level"}
    wrong = {f.subset for f in parity.findings if not f.passed}
    assert wrong == {"ant+bee", "bee"}


def test_nan_that_leaks_from_an_absent_slot_is_found(linear: Bundle) -> None:
    parity = verify(with_graph(linear, FUSION, head_graph(NAMES[:2], WEIGHTS, leaks=True)))
    assert failures(parity) == {"fusion/level", "absent slots/level", "end to end/level"}
    clean = {f.subset for f in parity.findings if f.point == "fusion/level" and f.passed}
    assert clean == {"ant+bee"}


@pytest.mark.parametrize(
    ("graph", "points"),
    [
        ("camera", {"camera/embedding"}),
        ("hint", {"hint/embedding"}),
        ("fusion", {"fusion/digit"}),
    ],
)
def test_a_moved_weight_of_the_shipped_model_is_found(
    demo: Bundle, graph: str, points: set[str]
) -> None:
    model = demo.read(demo.manifest.plans["fp32"].graphs[graph])
    parity = verify(with_graph(demo, graph, with_weight_moved(model)), threads=1)
    assert failures(parity) == points | {"end to end/digit"}


def test_a_graph_that_answers_one_row_of_a_batch_fails_the_proof(linear: Bundle) -> None:
    folded = with_graph(linear, "bee", encoder_graph(fold=True))
    with pytest.raises(
        ProofError, match=r"graph 'bee' gives 'embedding' the shape \(1, 2\) for a batch of 2"
    ):
        verify(folded)


def test_a_graph_that_declares_its_batch_fixed_is_no_graph_of_a_bundle(linear: Bundle) -> None:
    fixed = with_graph(linear, "bee", encoder_graph(batch=1))
    with pytest.raises(ArtefactError, match=r"graph 'bee': 'samples' .* its batch is fixed"):
        verify(fixed)


def test_a_damaged_file_is_found_even_if_the_proof_does_not_need_it(demo: Bundle) -> None:
    ref = demo.manifest.reports["parity"]
    with pytest.raises(ArtefactError, match=f"{ref.name} is not the file"):
        verify(Bundle.in_memory(demo.manifest, {**demo.files, ref.name: b"{}"}))


def test_another_plan_or_backend_is_a_mistake_of_the_caller(linear: Bundle) -> None:
    with pytest.raises(ConfigError, match="the bundle has no plan 'int8'; it has fp32"):
        verify(linear, plan="int8")
    with pytest.raises(ConfigError, match="there is no backend 'gpu'; choose one of cpu"):
        verify(linear, backend="gpu")


def test_a_plan_without_a_tolerance_is_not_verified_at_all(linear: Bundle) -> None:
    plan = linear.manifest.plans["fp32"].model_copy(update={"tolerances": {}})
    manifest = linear.manifest.model_copy(update={"plans": {"fp32": plan}})
    with pytest.raises(ArtefactError, match="plan 'fp32' has no tolerance for a cpu"):
        verify(Bundle.in_memory(manifest, linear.files))


def test_the_tolerance_is_the_one_of_the_plan(linear: Bundle) -> None:
    fp32 = linear.manifest.plans["fp32"]
    wide = {"cpu": fp32.tolerances["cpu"].model_copy(update={"absolute": 100.0})}
    moved = with_graph(linear, "bee", encoder_graph(factor=2.01))
    plans = moved.manifest.plans
    mixed = plans["fp32"].model_copy(update={"precision": "mixed", "tolerances": wide})
    manifest = moved.manifest.model_copy(update={"plans": {**plans, "mixed": mixed}})
    parity = verify(Bundle.in_memory(manifest, moved.files), plan="mixed")
    assert parity.tolerance.absolute == 100.0
    assert parity.passed


def test_a_bundle_cannot_widen_what_float32_may_differ(linear: Bundle) -> None:
    plan = linear.manifest.plans["fp32"]
    wide = {"cpu": plan.tolerances["cpu"].model_copy(update={"absolute": 1e300})}
    plans = {"fp32": plan.model_copy(update={"tolerances": wide})}
    manifest = linear.manifest.model_copy(update={"plans": plans})
    with pytest.raises(ArtefactError, match=r"allows 1e\+300 .* held to 0\.0001"):
        verify(Bundle.in_memory(manifest, linear.files))


@pytest.mark.parametrize(
    ("graph", "model", "words"),
    [
        ("bee", encoder_graph(factor=2.01), "bee/embedding"),
        ("bee", encoder_graph(fold=True), "graph 'bee' gives 'embedding' the shape"),
        (FUSION, head_graph(NAMES[:2], WEIGHTS, leaks=True), "fusion/level"),
    ],
    ids=["weight", "batch", "leak"],
)
def test_the_command_line_ends_with_7_and_names_the_point(
    tmp_path: Path, mmedge: Run, graph: str, model: bytes, words: str
) -> None:
    linear = linear_bundle(2, weights=WEIGHTS)
    save_bundle(with_graph(linear, graph, model), tmp_path / "x.mmedge")
    code, _, err = mmedge("verify", tmp_path / "x.mmedge")
    assert code == 7
    assert words in " ".join(err.split())
