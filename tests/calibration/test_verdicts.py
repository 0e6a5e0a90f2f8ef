"""What is said of a plan, and where there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmedge.calibration.trial import Trial
from mmedge.calibration.verdicts import few_layers, summed_up, unproven
from mmedge.proof.paired import Drop
from tests.calibration.test_search import START, trial


def lost(value: float, bound: float, samples: int, discordant: int) -> Trial:
    drop = Drop(metric="accuracy", value=value, bound=bound, samples=samples, discordant=discordant)
    return replace(trial(START, bound), drops={"digit": drop}, max_drop=0.5)


@pytest.mark.parametrize(
    ("tried", "words"),
    [
        (lost(0.0, 0.75, 400, 0), "at most 0.75, and 0.5 are allowed. Give about 600 samples"),
        # Clopper and Pearson: 3.4 of 1,700 lost are at most 8.4, or 0.49 %.
        (lost(0.2, 0.63, 1000, 2), "Give about 1700 samples for that part"),
        # So few that no plan could be proven: what a plan without any loss takes.
        (lost(2.5, 9.0, 40, 1), "Give at least 600 for that part"),
        # Enough, and all that was tried loses too much.
        (lost(1.5, 2.1, 2000, 30), "no plan stays within 0.5 points: the best one loses 1.50"),
        (
            replace(trial(replace(START, rest="fp16"), 1.0), drops={}),
            "answers with NaN or infinity, and fp32 does not: values pass FP16's range on clips",
        ),
    ],
)  # fmt: skip
def test_it_is_said_how_many_samples_it_takes_or_that_none_would_help(
    tried: Trial, words: str
) -> None:
    assert words in unproven(tried)


def test_no_number_is_not_put_down_to_fp16_where_there_is_none() -> None:
    said = unproven(replace(trial(START, 1.0), drops={}))
    assert "answers with NaN or infinity" in said
    assert "FP16" not in said
    assert "--target" not in said


def test_what_is_lost_and_what_it_is_called_are_of_one_task() -> None:
    tight = Drop(metric="accuracy", value=1.5, bound=1.9, samples=5000, discordant=80)
    loose = Drop(metric="relative_mae", value=0.1, bound=2.5, samples=5000)
    tried = replace(trial(START, 1.0), drops={"digit": tight, "level": loose}, max_drop=0.5)
    assert "loses 1.50 points (accuracy of 'digit')" in unproven(tried)


def test_a_task_that_has_too_few_samples_is_named_and_not_another() -> None:
    few = Drop(metric="accuracy", value=0.0, bound=0.75, samples=400, discordant=0)
    loose = Drop(metric="relative_mae", value=0.1, bound=2.5, samples=5000)
    tried = replace(trial(START, 1.0), drops={"digit": few, "level": loose}, max_drop=0.5)
    said = unproven(tried)
    assert "the accuracy of 'digit' on the 400 samples" in said
    assert "Give about 600 samples" in said


def test_a_subset_that_loses_too_much_is_named_with_what_it_may_lose() -> None:
    tried = replace(
        lost(0.1, 0.3, 5000, 5), subsets={"mic": {"digit": 1.25}, "cam": {"digit": 1.0}}
    )
    assert "0.10 points (accuracy of 'digit'), and 1.25 of 'digit' with mic alone, where 1 are" in (
        unproven(tried)
    )


@pytest.mark.parametrize(("value", "offered"), [(0.4, True), (0.6, False)])
def test_to_accept_it_unproven_is_offered_only_where_it_can_be(value: float, offered: bool) -> None:
    assert ("--accept-unproven" in unproven(lost(value, 9.0, 40, 1))) == offered


def test_the_bounds_on_both_parts_are_said_and_which_subsets_have_too_few_clips() -> None:
    searched = replace(lost(0.1, 0.4, 5000, 5), unjudged={"mic": {"digit": 12}})
    said = summed_up(searched, lost(0.3, 0.6, 4000, 9))
    assert "loses 0.10 points, at most 0.40; 0.30 on unseen samples, at most 0.60" in said
    assert "too few clips to judge what is lost with mic (12) alone: it takes 100" in said
    assert "too few" not in summed_up(replace(searched, unjudged={}), searched)


def test_too_few_layers_for_what_was_asked_are_counted() -> None:
    assert "mixed takes at least 2 that can be INT8" in few_layers("mixed", 2, 1)
    assert few_layers("mixed", 2, 1).endswith("there is 1")
    assert few_layers("int8", 1, 0).endswith("there are none")
