"""Parity in float32: mmedge's encoders and heads, every subset, every batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from mmedge.manifest import Tolerance
from mmedge.models import AttentionFusion, ConcatenationFusion, GatedFusion
from mmedge.proof.subsets import presence_rows
from mmedge.proof.trust import load_golden
from mmedge.runtime.predictor import Predictor

pytestmark = pytest.mark.torch

Export = Callable[..., Any]

every_model = pytest.mark.parametrize(
    ("head", "tokens"),
    [
        pytest.param(head, tokens, id=f"{name}-{'tokens' if tokens else 'pooled'}")
        for name, head in (
            ("concatenation", ConcatenationFusion),
            ("gated", GatedFusion),
            ("attention", AttentionFusion),
        )
        for tokens in (False, True)
    ],
)
SUBSETS = {
    "camera+mic+hint",
    "camera+mic",
    "camera+hint",
    "mic+hint",
    "camera",
    "mic",
    "hint",
    "nothing",
}


@every_model
def test_every_number_is_within_a_ten_thousandth(
    head: type, tokens: bool, exported: Export
) -> None:
    parity = exported(head, tokens=tokens).parity
    assert parity.tolerance == Tolerance(absolute=1e-4, relative=1e-4)
    assert parity.passed
    assert parity.worst.error < 2e-5
    assert all(np.isfinite(finding.error) for finding in parity.findings)


@every_model
def test_the_proof_goes_through_every_point_on_the_way(
    head: type, tokens: bool, exported: Export
) -> None:
    points = {finding.point for finding in exported(head, tokens=tokens).parity.findings}
    assert points == {
        *("camera/frames", "mic/samples", "hint/ids", "hint/mask"),
        *("camera/front_end", "mic/front_end"),
        *("camera/embedding", "mic/embedding", "hint/embedding"),
        *(("hint/tokens_mask",) if tokens else ()),
        *("fusion/digit", "fusion/alarm"),
        *("absent slots/digit", "absent slots/alarm"),
        *("end to end/digit", "end to end/alarm"),
    }


@every_model
def test_every_subset_is_proven_at_batches_of_1_2_and_5(
    head: type, tokens: bool, exported: Export
) -> None:
    findings = exported(head, tokens=tokens).parity.findings
    for task in ("digit", "alarm"):
        for stage in ("fusion", "end to end"):
            rows = {(f.subset, f.batch) for f in findings if f.point == f"{stage}/{task}"}
            assert rows == {(subset, batch) for subset in SUBSETS for batch in (1, 2, 5)}
    for name in ("camera", "mic", "hint"):
        seen = [f for f in findings if f.point == f"{name}/embedding"]
        # Four samples: four calls with one row, two with two, one with five.
        assert [f.batch for f in seen] == [1, 1, 1, 1, 2, 2, 5]


@every_model
def test_rows_of_different_presence_do_not_disturb_each_other(
    head: type, tokens: bool, exported: Export
) -> None:
    bundle = exported(head, tokens=tokens).bundle
    golden = load_golden(bundle)
    rows = presence_rows(bundle.manifest.presence)
    with Predictor(bundle) as predictor:
        inputs = {
            key: np.repeat(array[:1], len(rows), axis=0)
            for arrays in golden.embeddings.values()
            for key, array in arrays.items()
        }
        for column, name in enumerate(bundle.manifest.presence):
            inputs[name][~rows[:, column]] = np.nan
        outputs = predictor.fuse(inputs, rows)
    for task, reference in golden.outputs.items():
        np.testing.assert_allclose(outputs[task], reference[:, 0], rtol=1e-4, atol=1e-4)


@every_model
def test_every_modality_changes_the_answer(head: type, tokens: bool, exported: Export) -> None:
    # Else the proof would pass on a head that reads nothing.
    golden = load_golden(exported(head, tokens=tokens).bundle)
    full = golden.outputs["digit"][0]
    for row, outputs in zip(golden.presence[1:], golden.outputs["digit"][1:], strict=True):
        assert abs(outputs - full).max() > 1e-3, row


@every_model
def test_tokens_stay_tokens_up_to_the_head(head: type, tokens: bool, exported: Export) -> None:
    graphs = exported(head, tokens=tokens).bundle.manifest.graphs
    shapes = {
        name: {out.name: out.shape for out in graphs[name].outputs}
        for name in ("camera", "mic", "hint")
    }
    if tokens:
        assert shapes == {
            "camera": {"tokens": ("batch", 4, 8)},
            "mic": {"tokens": ("batch", 7, 8)},
            "hint": {"tokens": ("batch", 4, 8), "tokens_mask": ("batch", 4)},
        }
    else:
        assert shapes == {name: {"embedding": ("batch", 8)} for name in shapes}


def test_the_bundle_holds_the_report_that_was_returned(exported: Export) -> None:
    made = exported(ConcatenationFusion, tokens=False)
    report = json.loads(made.bundle.read(made.bundle.manifest.reports["parity"]))
    assert report["parity"] == json.loads(json.dumps(made.parity.to_json()))
    assert report["parity"]["inputs"] == "seeded"
    assert report["parity"]["samples"] == 4
    assert len(report["parity"]["findings"]) == len(made.parity.findings) > 100
    assert {row["present"] for row in report["absence"]} == SUBSETS


def test_a_finding_beyond_tolerance_fails_the_proof(exported: Export) -> None:
    from mmedge.proof import verify

    bundle = exported(ConcatenationFusion, tokens=False).bundle
    golden = load_golden(bundle)
    golden.outputs["digit"][3, 1] += 0.01
    changed = _with_golden(bundle, golden)
    parity = verify(changed)
    assert not parity.passed
    assert parity.first_failure is not None
    assert (parity.first_failure.point, parity.first_failure.subset) == ("fusion/digit", "mic+hint")
    assert parity.first_failure.sample == 1


def _with_golden(bundle: Any, golden: Any) -> Any:
    from mmedge.bundle import Bundle, file_ref

    data = golden.to_bytes()
    ref = file_ref("golden", ".npz", data)
    stored = bundle.manifest.golden.model_copy(update={"file": ref})
    manifest = bundle.manifest.model_copy(update={"golden": stored})
    return Bundle.in_memory(manifest, {**bundle.files, ref.name: data})
