from __future__ import annotations

from dataclasses import replace

import pytest

from mmedge.calibration.confusion import UNKNOWN, Confusion
from mmedge.calibration.report.confusions import draw_confusions
from tests.calibration.report.made import a_trial, an_outcome
from tests.calibration.report.read import Read


def drawn(confusion: Confusion) -> Read:
    trial = replace(a_trial("conv"), confusions={"side": confusion})
    return Read(draw_confusions(an_outcome(reported=trial)))


def test_the_plan_is_drawn_against_the_truth_and_against_fp32() -> None:
    read = Read(draw_confusions(an_outcome()))
    titles = [each for each in read.texts if "against" in each]
    assert titles == [
        "truth (rows) against the plan (columns)",
        "fp32 (rows) against the plan (columns)",
    ]
    cells = [each for each in read.texts if "→" in each]
    assert cells == [
        "left → left: 290", "left → right: 2", "right → left: 8", "right → right: 300",
        "left → left: 297", "left → right: 2", "right → left: 1", "right → right: 300",
    ]  # fmt: skip


def test_where_the_plan_answers_otherwise_is_said_and_listed() -> None:
    read = Read(draw_confusions(an_outcome()))
    assert "The plan answers otherwise than fp32 on 3 of 600 samples." in read.texts
    assert "fp32 is wrong on 7, the plan on 10." in read.texts


def test_without_labels_there_is_only_fp32_to_compare_with() -> None:
    read = drawn(Confusion(labels=("a", "b"), counts=((UNKNOWN, 0, 0, 9), (UNKNOWN, 0, 1, 1))))
    assert "truth (rows) against the plan (columns)" not in read.texts
    assert "truth" not in read.texts
    assert "The plan answers otherwise than fp32 on 1 of 10 samples." in read.texts


def test_no_mistake_and_no_change_are_said() -> None:
    read = drawn(Confusion(labels=("a", "b"), counts=((0, 0, 0, 9),)))
    assert "The plan answers otherwise than fp32 on 0 of 9 samples." in read.texts
    assert "Neither of them is wrong on any." in read.texts


@pytest.mark.parametrize(("labels", "matrices"), [(24, 2), (25, 0)])
def test_many_labels_are_not_drawn(labels: int, matrices: int) -> None:
    names = tuple(f"{number}" for number in range(labels))
    assert drawn(Confusion(labels=names, counts=((0, 0, 0, 9),))).count("svg") == matrices
