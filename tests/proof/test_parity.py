from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from mmedge.manifest import Tolerance
from mmedge.proof.parity import Finding, Parity, compare

NAN, INF = math.nan, math.inf
HALF = Tolerance(absolute=0.5, relative=0.0)
TENTH = Tolerance(absolute=0.0, relative=0.125)
EXACT = Tolerance(absolute=0.0, relative=0.0)


def check(reference: Any, actual: Any, tolerance: Tolerance, **options: Any) -> Finding:
    arrays = (np.asarray(reference, np.float32), np.asarray(actual, np.float32))
    return compare("here", *arrays, tolerance, batch=1, **options)


def finding(point: str, ratio: float, **fields: Any) -> Finding:
    return Finding(point=point, batch=1, error=ratio, ratio=ratio, sample=0, **fields)


def parity(*findings: Finding) -> Parity:
    return Parity(findings, "cpu", "fp32", HALF, "seeded", 4)


@pytest.mark.parametrize(
    ("came", "tolerance", "ratio"),
    [
        (8.0, HALF, 0.0),
        (8.25, HALF, 0.5),
        (8.5, HALF, 1.0),
        (7.0, HALF, 2.0),
        (9.0, TENTH, 1.0),
        (6.0, TENTH, 2.0),
        (9.5, Tolerance(absolute=0.5, relative=0.125), 1.0),
        (8.0, EXACT, 0.0),
        (8.000001, EXACT, INF),
        (NAN, HALF, INF),
        (INF, HALF, INF),
    ],
)
def test_an_error_is_measured_in_what_is_allowed(
    came: float, tolerance: Tolerance, ratio: float
) -> None:
    found = check([[8.0]], [[came]], tolerance)
    assert found.ratio == ratio
    assert found.passed is (ratio <= 1)


@pytest.mark.parametrize(
    ("reference", "came", "passed"),
    [
        (NAN, NAN, False),
        (NAN, 1.0, False),
        (INF, INF, True),
        (-INF, -INF, True),
        (INF, -INF, False),
        (INF, 1.0, False),
        (0.0, -0.0, True),
    ],
)
def test_numbers_that_are_none_agree_with_nothing_but_equal_infinities(
    reference: float, came: float, passed: bool
) -> None:
    for tolerance in (HALF, TENTH, EXACT):
        assert check([[reference]], [[came]], tolerance).passed is passed


def test_the_worst_sample_is_named() -> None:
    found = check([[0], [0], [0]], [[0.1], [-2], [1]], HALF)
    assert (found.sample, found.error, found.ratio) == (1, 2.0, 4.0)
    assert check([[0], [0]], [[0], [1]], HALF, samples=[7, 3]).sample == 3


def test_the_worst_ratio_wins_over_the_largest_error() -> None:
    found = check([[0.125], [80]], [[0.25], [88]], TENTH)
    assert (found.sample, found.error, found.ratio) == (0, 8.0, 8.0)


@pytest.mark.parametrize("shape", [(1, 3), (2, 2), (1, 2, 1), (2,)])
def test_another_shape_is_an_infinite_error_even_where_it_would_broadcast(
    shape: tuple[int, ...],
) -> None:
    found = check(np.zeros((1, 2)), np.zeros(shape), HALF)
    assert (found.error, found.ratio, found.passed) == (INF, INF, False)


def test_masks_are_compared_too() -> None:
    mask = np.array([[True, False]])
    assert compare("mask", mask, mask, EXACT, batch=1).passed
    assert not compare("mask", mask, ~mask, EXACT, batch=1).passed


def test_integers_beyond_float32_are_told_apart() -> None:
    ids = np.array([[2**24]], np.int64)
    assert not compare("ids", ids, ids + 1, EXACT, batch=1).passed


def test_a_proof_passes_only_if_every_comparison_does() -> None:
    assert parity(finding("a", 0.5), finding("b", 1.0)).passed
    assert not parity(finding("a", 0.5), finding("b", 1.01)).passed
    assert not parity(finding("a", NAN)).passed


def test_the_worst_and_the_first_failure_are_named() -> None:
    proof = parity(finding("a", 0.5), finding("b", 2.0), finding("c", INF), finding("d", NAN))
    assert proof.worst.point == "c"
    assert proof.first_failure is not None
    assert proof.first_failure.point == "b"
    assert parity(finding("a", 1.0)).first_failure is None
    assert parity(finding("a", 3.0), finding("b", NAN)).worst.point == "b"


def test_each_point_is_summed_up_by_its_worst_in_the_order_of_the_way() -> None:
    proof = parity(finding("b", 0.5), finding("a", 0.1), finding("b", 0.75, subset="x"))
    assert [(point, f.ratio) for point, f in proof.by_point().items()] == [("b", 0.75), ("a", 0.1)]
    assert proof.by_point()["b"].subset == "x"


def test_a_report_is_strict_json_and_rounds_to_six_digits() -> None:
    report = parity(finding("a", 1.23456789), finding("b", INF)).to_json()
    json.dumps(report, allow_nan=False)
    assert report["passed"] is False
    assert [row["ratio"] for row in report["findings"]] == [1.23457, "inf"]
    assert report["tolerance"] == {"absolute": 0.5, "relative": 0.0}
