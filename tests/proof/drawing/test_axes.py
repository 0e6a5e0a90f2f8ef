from __future__ import annotations

import pytest

from mmedge.proof.drawing.axes import Axis, ticks


def test_an_axis_may_go_up_and_ends_where_it_ends() -> None:
    axis = Axis(0.0, 4.0, 200.0, 0.0)
    assert [axis.at(each) for each in (0.0, 1.0, 4.0, 9.0, -1.0)] == [200, 150, 0, 0, 200]


def test_an_axis_of_one_number_has_it_in_the_middle() -> None:
    assert Axis(2.0, 2.0, 0.0, 10.0).at(2.0) == 5.0


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-0.3, 4.8, [0.0, 1.0, 2.0, 3.0, 4.0]),
        (0.55, 1.04, [0.6, 0.7, 0.8, 0.9, 1.0]),
        (0.0, 0.0004, [0.0, 0.0001, 0.0002, 0.0003, 0.0004]),
        (3.0, 3.0, [3.0]),
    ],
)
def test_marks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high, 5) == expected
