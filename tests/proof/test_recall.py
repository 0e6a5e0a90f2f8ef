"""Recall of a head that likes high numbers: a pair's logit is a + w b, for any a."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.errors import ConfigError
from mmedge.proof.answers import Answers, EmbeddingStore
from mmedge.proof.data import Sample
from mmedge.proof.recall import first_found, recall_hits, recall_k
from mmedge.runtime.predictor import Predictor
from mmedge.specs import Matching
from tests.fakes import SIDE, linear_bundle
from tests.proof.data.making import SIDES, prepared, sound

FITS = {"fits": Matching(between=("ant", "bee"))}
# Whatever is asked, the bee of the highest first number is found first.
WEIGHTS = {"fits": np.float32([[[1], [0]], [[1], [0]]])}
BUNDLE = linear_bundle(2, tasks=FITS, weights=WEIGHTS)


def sample(ant: float, bee: float, fits: bool | None = True) -> Sample:
    labels: dict[str, Any] = {} if fits is None else {"fits": fits}
    return Sample(where="", raws={"ant": sound(ant, 0), "bee": sound(bee, 0)}, labels=labels)


def hits(folder: Path, samples: list[Sample], k: int) -> list[bool]:
    with Predictor(BUNDLE) as predictor:
        store = EmbeddingStore(prepared(folder, samples, BUNDLE), folder)
        found: list[bool] = recall_hits(Answers(predictor, store), "fits", k).tolist()
    return found


@pytest.mark.parametrize(
    ("k", "expected"),
    [(1, [False, False, True]), (2, [False, False, True]), (3, [False, True, True])],
)
def test_a_partner_is_found_among_all_different_inputs(
    tmp_path: Path, k: int, expected: list[bool]
) -> None:
    # Items from the highest: 9, 7 (of no match), 5, 1.
    samples = [sample(0, 1), sample(1, 5), sample(2, 9), sample(3, 7, fits=False)]
    assert hits(tmp_path, samples, k) == expected


def test_equal_inputs_are_one_item(tmp_path: Path) -> None:
    samples = [sample(0, 9), sample(1, 9), sample(2, 9), sample(3, 5)]
    assert hits(tmp_path, samples, 2) == [True] * 4


def test_only_what_is_labelled_as_matching_is_asked(tmp_path: Path) -> None:
    samples = [sample(0, 1, fits=None), sample(1, 2, fits=False), sample(2, 3)]
    assert hits(tmp_path, samples, 1) == [True]


def test_without_labels_a_plan_is_asked_for_what_it_finds_first(tmp_path: Path) -> None:
    samples = [sample(0, 1, fits=None), sample(1, 7, fits=None), sample(2, 5, fits=None)]
    with Predictor(BUNDLE) as predictor:
        answers = Answers(predictor, EmbeddingStore(prepared(tmp_path, samples, BUNDLE), tmp_path))
        wanted = first_found(answers, "fits")
        assert (wanted.queries.tolist(), wanted.partners.tolist()) == ([0, 1, 2], [1, 1, 1])
        assert recall_hits(answers, "fits", 1, wanted).tolist() == [True] * 3


def test_without_a_match_there_is_nothing_to_tell_it_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="takes clips with ant and bee that match"):
        hits(tmp_path, [sample(0, 1, fits=False)], 1)


def test_only_matching_tasks_are_searched(tmp_path: Path) -> None:
    with Predictor(SIDES) as predictor:
        data = prepared(tmp_path, [Sample(where="", raws={"ant": sound(1, 0)})])
        answers = Answers(predictor, EmbeddingStore(data, tmp_path))
        with pytest.raises(ConfigError, match=f"of kind {SIDE.kind}"):
            recall_hits(answers, "side", 1)


def test_the_metrics_name_says_k() -> None:
    assert [recall_k(name) for name in ("recall_at_10", "recall_at_0", "accuracy")] == [
        10,
        None,
        None,
    ]
