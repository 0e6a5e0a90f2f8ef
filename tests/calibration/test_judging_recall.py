"""Trials of a candidate whose head likes low numbers, where float32 likes high ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmedge.bundle import Bundle
from mmedge.calibration import CalibrateConfig
from mmedge.calibration.candidate import CANDIDATE, Candidate
from mmedge.calibration.judging import Judge
from mmedge.calibration.trial import Trial
from mmedge.proof.data import Sample
from mmedge.specs import Matching
from tests.fakes import head_graph
from tests.proof.data.making import prepared, sound
from tests.proof.plans.making import SIGN, with_plans

FITS = {"side": Matching(between=("ant", "bee"))}


def bundle() -> Bundle:
    low = head_graph(("ant", "bee"), {"side": -SIGN[:, :, :1]})
    return with_plans({CANDIDATE: low}, tasks=FITS)


def judged(folder: Path, metric: str | None, label: bool | None = True) -> Trial:
    """Judge six pairs, of which the candidate finds the lowest first."""
    labels = {} if label is None else {"side": label}
    samples = [
        Sample(where="", raws={"ant": sound(n / 8, 0), "bee": sound(n / 8, 1)}, labels=labels)
        for n in range(6)
    ]
    made = bundle()
    config = CalibrateConfig(bundle=folder, data=folder, metric=metric)
    (folder / "kept").mkdir()
    judge = Judge(made, prepared(folder / "samples", samples, made), folder / "kept", config)
    return judge.judge(made, Candidate(int8={}, methods={}), 0.0)


def test_what_is_searched_is_judged_by_its_recall(tmp_path: Path) -> None:
    trial = judged(tmp_path, "recall_at_2")
    drop = trial.drops["side"]
    # Both find two of the six, and none the same.
    assert (drop.metric, drop.value, drop.discordant, drop.samples) == ("recall_at_2", 0.0, 4, 6)
    assert drop.bound > 50
    # With one modality there is nothing to search.
    assert all(each == {} for each in trial.subsets.values())


def test_a_matching_task_is_judged_by_its_answers_unless_asked_otherwise(tmp_path: Path) -> None:
    drop = judged(tmp_path, None).drops["side"]
    assert (drop.metric, drop.value) == ("accuracy", 100.0)


def test_without_labels_it_is_how_often_answers_differ(tmp_path: Path) -> None:
    drop = judged(tmp_path, None, label=None).drops["side"]
    assert (drop.metric, drop.value) == ("agreement", 100.0)


@pytest.mark.parametrize(("k", "lost"), [(1, 100.0), (5, 100.0), (6, 0.0)])
def test_without_labels_what_float32_finds_first_is_to_be_found(
    tmp_path: Path, k: int, lost: float
) -> None:
    # That is the highest of six, which the candidate finds last.
    drop = judged(tmp_path, f"recall_at_{k}", label=None).drops["side"]
    assert (drop.metric, drop.value, drop.samples) == ("agreement", lost, 6)
