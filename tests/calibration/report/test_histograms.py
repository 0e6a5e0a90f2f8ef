from __future__ import annotations

import math
import re

from mmedge.calibration.lowering import Range
from mmedge.calibration.outcome import Watched
from mmedge.calibration.report.histograms import BOTTOM, LEFT, RIGHT, TOP, draw_histograms
from tests.calibration.report.made import a_histogram, an_outcome
from tests.calibration.report.read import Read


def watched(name: str, *numbers: float, limit: float = 100.0) -> Watched:
    return Watched(value=name, histogram=a_histogram(*numbers), range=Range(-limit, limit))


def drawn(*each: Watched) -> Read:
    return Read(draw_histograms(an_outcome(watched={"ant": each})))


def lines(read: Read) -> list[float]:
    """Where thresholds stand."""
    return [float(str(a["x1"])) for _, a in read.tags if a.get("class") == "threshold"]


def test_thresholds_stand_where_numbers_are_cut() -> None:
    read = drawn(watched("x", -4.0, 4.0, limit=2.0))
    low, high = lines(read)
    middle, half = (LEFT + RIGHT) / 2, (RIGHT - LEFT) / 2
    assert math.isclose(low, middle - half / 2, abs_tol=0.5)
    assert math.isclose(high, middle + half / 2, abs_tol=0.5)
    assert "ant, entropy; -4 to 4; clips 1e+02 %" in read.texts


def test_thresholds_beyond_all_numbers_are_in_the_picture() -> None:
    assert lines(drawn(watched("x", 0.5, 1.0, limit=8.0))) == [LEFT, RIGHT]


def test_bars_are_as_high_as_the_logarithm_of_their_counts() -> None:
    read = drawn(watched("x", *[0.0] * 99, 1.0))
    (path,) = [str(a["d"]) for tag, a in read.tags if tag == "path"]
    heights = {float(each) for each in re.findall(r"V([\d.]+)", path)}
    one = BOTTOM - (BOTTOM - TOP) * math.log(2) / math.log(100)
    assert heights == {TOP, BOTTOM, round(one, 1)}


def test_what_is_clipped_most_comes_first_then_what_reaches_furthest() -> None:
    read = drawn(
        watched("near", 1.0),
        watched("far", 90.0),
        watched("clipped", 1.0, 5.0, limit=2.0),
    )
    names = ("near", "far", "clipped")
    assert [each for each in read.texts if each in names] == ["clipped", "far", "near"]
    assert "ant, entropy; 0 to 1; clips nothing" in read.texts


def test_all_but_twelve_are_folded() -> None:
    read = drawn(*(watched(f"v{number}", 1.0) for number in range(15)))
    assert "3 more" in read.texts
    assert read.count("figure", "small") == 15
    assert "more" not in drawn(*(watched(f"v{n}", 1.0) for n in range(12))).text


def test_a_value_of_nothing_and_one_of_zeros_can_be_drawn() -> None:
    nothing = Watched(value="none", histogram=a_histogram(), range=Range(0.0, 0.0))
    zeros = Watched(value="zeros", histogram=a_histogram(0.0, 0.0), range=Range(0.0, 0.0))
    assert drawn(nothing, zeros).count("figure", "small") == 2


def test_what_was_left_out_is_counted() -> None:
    read = drawn(watched("x", 1.0, float("nan"), float("-inf")))
    assert "ant, entropy; 0 to 1; clips nothing; 2 left out (masks, NaN)" in read.texts
