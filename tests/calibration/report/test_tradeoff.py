from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mmedge.calibration.report.tradeoff import BOTTOM, TOP, draw_tradeoff
from mmedge.proof.drawing.axes import Axis
from tests.calibration.report.made import a_trial, an_outcome, for_the_cpu
from tests.calibration.report.read import Read


def circles(read: Read) -> list[tuple[float, float]]:
    """Centres in the picture; those of the legend are at 6, 6."""
    found = [
        (float(str(attributes["cx"])), float(str(attributes["cy"])))
        for tag, attributes in read.tags
        if tag == "circle"
    ]
    return [each for each in found if each != (6, 6)]


def test_a_trial_stands_at_its_share_above_int8_and_says_that_this_is_predicted() -> None:
    outcome = an_outcome(reported=None)
    read = Read(draw_tradeoff(outcome, 0.5))
    (x_all, y_all), (x_plan, y_plan) = circles(read)
    assert x_all < x_plan  # the plan is drawn last, and costs more
    assert y_all < y_plan  # 1.2 points are above 0.2
    assert "multiply-accumulates above INT8 (cost as predicted)" in read.texts
    assert "limit 0.5" in read.texts
    assert "50 %" in read.texts


def test_on_the_cpu_a_trial_stands_at_its_time_over_fp32s() -> None:
    read = Read(draw_tradeoff(for_the_cpu(), 0.5))
    assert "time over fp32's, measured on this CPU" in read.texts
    assert "fp32" in read.texts
    assert len(circles(read)) == 3
    assert any("0.60 of fp32's time" in each for each in read.texts)


def test_a_trial_that_was_not_timed_is_not_in_the_picture_of_times() -> None:
    untimed = a_trial("conv")
    outcome = for_the_cpu(trials=(untimed,), searched=untimed, reported=None, ratio=None)
    assert Read(draw_tradeoff(outcome, 0.5)).text == "Nothing was tried."


def test_what_loses_far_too_much_stands_at_the_edge_and_does_not_squeeze_the_rest() -> None:
    far = a_trial("conv", "project", drop=60.0, bound=70.0)
    plan = a_trial("conv")
    read = Read(draw_tradeoff(an_outcome(trials=(far, plan), searched=plan, reported=None), 0.5))
    ((_, y),) = circles(read)
    top = Axis(0.0, 6 * 0.5 * 1.08, BOTTOM, TOP)
    assert abs(y - top.at(0.2)) < 0.01
    assert "60.00" in read.texts  # in the table


def test_a_plan_that_was_tried_last_for_its_speed_is_drawn_and_listed() -> None:
    extra = replace(a_trial("project", ratio=0.55), share=0.4)
    read = Read(draw_tradeoff(for_the_cpu(searched=extra, reported=None), 0.5))
    assert len(circles(read)) == 3
    assert "All trials, in order: 3" in read.texts
    assert "40.0%" in read.texts


def test_a_trial_says_in_the_table_whether_it_passed() -> None:
    read = Read(draw_tradeoff(an_outcome(), 0.5))
    assert (read.texts.count("failed"), read.texts.count("passed")) == (1, 1)
    assert read.texts.count("0.70") == 2  # the worst subset


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_trial_that_answers_no_numbers_is_listed_and_not_drawn(bad: float) -> None:
    broken, plan = a_trial("conv", "project", drop=bad, bound=bad), a_trial("conv")
    outcome = an_outcome(trials=(broken, plan), searched=plan, reported=None)
    read = Read(draw_tradeoff(outcome, 0.5))
    assert len(circles(read)) == 1
    assert f"{bad}" in read.texts
