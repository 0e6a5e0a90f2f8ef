from __future__ import annotations

from dataclasses import replace

import pytest

from mmedge.calibration.candidate import Candidate
from mmedge.calibration.search import fewest_restored
from mmedge.calibration.sensitivity import Unit
from mmedge.calibration.trial import Trial
from mmedge.proof.paired import Drop

NAMES = tuple(f"layer{number}" for number in range(13))
UNITS = tuple(Unit(modality="camera", layers=(name,), macs=10) for name in NAMES)
START = Candidate(int8={"camera": frozenset(NAMES)}, methods={})


def trial(candidate: Candidate, bound: float) -> Trial:
    return Trial(
        candidate=candidate,
        drops={"digit": Drop(metric="accuracy", value=bound / 2, bound=bound, samples=100)},
        subsets={},
        int8={"camera": tuple(sorted(candidate.int8["camera"]))},
        share=len(candidate.int8["camera"]) / len(NAMES),
        max_drop=1.0,
    )


class Model:
    """Loses 2 points until the first ``needed`` units are restored; counts what is tried."""

    def __init__(self, needed: int) -> None:
        self.needed = needed
        self.tried: list[int] = []

    def __call__(self, candidate: Candidate) -> Trial:
        restored = len(NAMES) - len(candidate.int8["camera"])
        self.tried.append(restored)
        return trial(candidate, 0.5 if restored >= self.needed else 2 + 1 / (1 + restored))


@pytest.mark.parametrize("needed", range(14))
def test_the_fewest_units_that_pass_are_restored_in_their_order(needed: int) -> None:
    model = Model(needed)
    found = fewest_restored(START, UNITS, model)
    assert found.trial.passed
    assert found.restored == UNITS[:needed]
    assert found.trial.candidate.int8 == {"camera": frozenset(NAMES[needed:])}
    assert len(model.tried) == len(set(model.tried)) <= 9
    assert len(found.trials) == len(model.tried)


def test_a_model_that_bears_all_of_it_is_tried_once() -> None:
    model = Model(0)
    fewest_restored(START, UNITS, model)
    assert model.tried == [0]


def test_where_nothing_passes_the_most_accurate_one_is_told() -> None:
    found = fewest_restored(START, UNITS, Model(99))
    assert not found.trial.passed
    assert len(found.restored) == 13


def test_a_search_that_may_restore_nothing_says_what_all_of_it_loses() -> None:
    model = Model(3)
    found = fewest_restored(START, UNITS, model, least=0, most=0)
    assert model.tried == [0]
    assert not found.trial.passed


def test_a_mixed_plan_restores_one_at_least() -> None:
    found = fewest_restored(START, UNITS, Model(0), least=1)
    assert found.restored == UNITS[:1]


def test_when_time_is_up_everything_is_restored_at_once() -> None:
    model = Model(5)
    found = fewest_restored(START, UNITS, model, late=lambda: True)
    assert model.tried == [0, 13]
    assert found.trial.passed


def test_accuracy_that_is_not_monotone_still_ends_at_a_plan_that_was_tried_and_passed() -> None:
    passing = {4, 7, 9, 10, 11, 12, 13}

    def judge(candidate: Candidate) -> Trial:
        restored = len(NAMES) - len(candidate.int8["camera"])
        return trial(candidate, 0.5 if restored in passing else 3.0)

    found = fewest_restored(START, UNITS, judge)
    assert found.trial.passed
    assert len(found.restored) in passing


def test_a_drop_within_the_limit_that_is_not_proven_passes_only_where_it_may() -> None:
    unproven = trial(START, 1.5)  # 0.75 points were seen
    assert unproven.within
    assert not unproven.passed
    waived = replace(unproven, proven=False)
    assert (waived.accepted, waived.passed) == (True, False)
    assert not replace(trial(START, 2.5), proven=False).accepted


@pytest.mark.parametrize(("needed", "restored"), [(3, 3), (99, 0)])
def test_where_it_need_not_be_proven_a_proof_is_looked_for_all_the_same(
    needed: int, restored: int
) -> None:
    def judge(candidate: Candidate) -> Trial:
        passes = len(NAMES) - len(candidate.int8["camera"]) >= needed
        return replace(trial(candidate, 0.5 if passes else 1.8), proven=False)  # 0.9 were seen

    found = fewest_restored(START, UNITS, judge)
    assert found.trial.accepted
    assert (found.trial.passed, len(found.restored)) == (needed == 3, restored)


def counted(candidate: Candidate, samples: int) -> Trial:
    drop = Drop(metric="accuracy", value=0, bound=1.3, samples=samples, discordant=0)
    return replace(trial(candidate, 1.3), drops={"digit": drop})


def test_nothing_is_restored_where_too_few_samples_could_prove_it() -> None:
    tried: list[Candidate] = []

    def judge(candidate: Candidate) -> Trial:
        tried.append(candidate)
        return counted(candidate, 230)

    assert not fewest_restored(START, UNITS, judge).trial.accepted
    assert tried == [START]
    assert counted(START, 298).hopeless  # the rule of three: a point takes 299
    assert not counted(START, 299).hopeless


def test_a_subset_may_lose_twice_the_limit_and_no_more() -> None:
    fine = replace(trial(START, 0.5), subsets={"camera": {"digit": 1.9}})
    assert fine.passed
    assert not replace(fine, subsets={"camera": {"digit": 2.1}}).passed
