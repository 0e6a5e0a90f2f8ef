"""Encoders with state are proven along a chain of windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmedge.bundle import Bundle
from mmedge.errors import ArtefactError
from mmedge.proof import verify
from mmedge.proof.chains import Chain
from mmedge.proof.golden import Golden
from mmedge.proof.trust import load_golden
from tests.fakes import with_golden
from tests.remembering import remembering_bundle


def with_chain(bundle: Bundle, **changes: object) -> Bundle:
    golden = load_golden(bundle)
    chain = replace(golden.chains["ear"], **changes)  # type: ignore[arg-type]
    return with_golden(bundle, replace(golden, chains={"ear": chain}).to_bytes())


def failing(bundle: Bundle) -> set[str]:
    return {finding.point for finding in verify(bundle).findings if not finding.passed}


def test_every_step_and_the_whole_walk_are_compared() -> None:
    findings = verify(remembering_bundle()).findings
    assert all(finding.passed for finding in findings)
    seen = {(f.point, f.batch) for f in findings if f.point.startswith(("ear/chain", "ear/step"))}
    assert seen == {
        ("ear/chain", 1),
        ("ear/chain sum", 1),
        *(("ear/step", batch) for batch in (1, 2, 5)),
        *(("ear/step sum", batch) for batch in (1, 2, 5)),
    }


def test_an_encoder_that_forgets_is_found_out_though_its_first_windows_are_right() -> None:
    bundle = remembering_bundle(begin=0.0, forget=0.999)
    assert failing(bundle) == {"ear/chain", "ear/chain sum", "ear/step", "ear/step sum"}


def test_a_reference_that_did_not_begin_anew_does_not_agree() -> None:
    assert "ear/chain" in failing(with_chain(remembering_bundle(), reset=5))


def test_a_chain_survives_its_file() -> None:
    golden = load_golden(remembering_bundle())
    again = Golden.from_bytes(golden.to_bytes()).chains["ear"]
    chain = golden.chains["ear"]
    assert (len(again), again.reset) == (8, 3)
    for came, went in ((again.inputs, chain.inputs), (again.states, chain.states)):
        assert came.keys() == went.keys()
        assert all(np.array_equal(came[key], went[key]) for key in went)
    assert golden.first(1).chains["ear"] is chain


@pytest.mark.parametrize(
    "changes",
    [
        {"reset": 0},
        {"reset": 8},
        {"reset": -1},
        {"states": {}},
        {"states": {"sum": np.zeros((8, 2), np.float32)}},
        {"states": {"sum": np.zeros((7, 1), np.float32)}},
        {"inputs": {"samples": np.zeros((8, 4))}},
        {"embeddings": {"other": np.zeros((8, 1), np.float32)}},
    ],
    ids=str,
)
def test_a_chain_of_another_model_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ArtefactError, match="golden samples belong to another model"):
        load_golden(with_chain(remembering_bundle(), **changes))


@pytest.mark.parametrize("chains", [{}, {"ear": ..., "nose": ...}], ids=["none", "one too many"])
def test_each_encoder_with_state_has_one_chain(chains: dict[str, object]) -> None:
    bundle = remembering_bundle()
    golden = load_golden(bundle)
    there: dict[str, Chain] = dict.fromkeys(chains, golden.chains["ear"])
    with pytest.raises(ArtefactError, match="golden samples belong to another model"):
        load_golden(with_golden(bundle, replace(golden, chains=there).to_bytes()))
