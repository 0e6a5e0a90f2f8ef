from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmedge.runtime.contributions import coalitions, conflict, shares

quick = settings(database=None, deadline=None, max_examples=60)
worths = st.integers(1, 4).flatmap(
    lambda count: st.lists(st.floats(-1e3, 1e3), min_size=2**count, max_size=2**count)
)


def by_permutations(worth: list[float]) -> list[float]:
    """Shapley's own definition: the gain on joining, averaged over all orders of joining."""
    rows = coalitions(len(worth).bit_length() - 1)
    table = {tuple(row): value for row, value in zip(rows.tolist(), worth, strict=True)}
    players = range(rows.shape[1])
    given_ = [0.0] * len(players)
    for order in itertools.permutations(players):
        here = [False] * len(players)
        for player in order:
            before = table[tuple(here)]
            here[player] = True
            given_[player] += table[tuple(here)] - before
    return [each / math.factorial(len(players)) for each in given_]


@pytest.mark.parametrize(
    ("modalities", "rows"), [(1, 2), (2, 4), (3, 8), (4, 16), (5, 11), (6, 13)]
)
def test_the_head_is_asked_for_so_many_coalitions(modalities: int, rows: int) -> None:
    found = coalitions(modalities)
    assert found.shape == (rows, modalities)
    assert found[0].all()
    assert len({tuple(row) for row in found.tolist()}) == rows


def test_beyond_four_the_full_set_all_but_one_and_the_singles_are_asked_for() -> None:
    counts = coalitions(5).sum(axis=1).tolist()
    assert counts == [5, 4, 4, 4, 4, 4, 1, 1, 1, 1, 1]


@given(worths)
@quick
def test_shares_are_shapleys(worth: list[float]) -> None:
    assert shares(np.array(worth)) == pytest.approx(by_permutations(worth), abs=1e-9)


@given(worths)
@quick
def test_shares_sum_to_what_all_gain_over_nothing(worth: list[float]) -> None:
    assert shares(np.array(worth)).sum() == pytest.approx(worth[0] - worth[-1], abs=1e-9)


@given(st.integers(1, 6).flatmap(lambda n: st.lists(st.floats(-9, 9), min_size=n, max_size=n)))
@quick
def test_of_a_sum_everyone_gets_their_own_part(parts: list[float]) -> None:
    worth = coalitions(len(parts)).astype(float) @ np.array(parts) + 7.0
    assert shares(worth) == pytest.approx(parts, abs=1e-9)


def test_a_gain_that_needs_both_is_halved() -> None:
    worth = coalitions(2).all(axis=1).astype(float)
    assert shares(worth).tolist() == [0.5, 0.5]


def test_a_gain_that_either_brings_is_halved() -> None:
    worth = coalitions(2).any(axis=1).astype(float)
    assert shares(worth).tolist() == [0.5, 0.5]


def test_who_changes_nothing_gets_nothing() -> None:
    rows = coalitions(3)
    worth = (rows[:, 0] & rows[:, 2]).astype(float)
    assert shares(worth) == pytest.approx([0.5, 0.0, 0.5])


def test_beyond_four_a_share_is_what_its_absence_costs() -> None:
    rows = coalitions(5)
    worth = rows.all(axis=1).astype(float)  # everyone is needed: each absence costs all
    assert shares(worth).tolist() == [1.0] * 5


@pytest.mark.parametrize(
    ("alone", "expected"),
    [
        ([[0.9, 0.1], [0.6, 0.4]], 0.0),  # agree
        ([[1.0, 0.0], [0.0, 1.0]], 1.0),  # both are sure
        ([[0.95, 0.05], [0.4, 0.6]], 0.2),  # one of them is hardly sure
        ([[0.75, 0.25, 0.0], [0.75, 0.25, 0.0], [0.0, 0.25, 0.75]], 0.75),  # one against two
        ([[0.5, 0.4, 0.1], [0.1, 0.4, 0.5]], 0.4),  # measured between the two labels only
        ([[0.9, 0.1]], 0.0),  # nobody to contradict
        (np.zeros((0, 2)), 0.0),
    ],
)
def test_conflict_is_how_firmly_two_contradict(alone: list[list[float]], expected: float) -> None:
    assert conflict(np.asarray(alone)) == pytest.approx(expected)


@given(st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=2, max_size=5))
@quick
def test_conflict_lies_between_0_and_1_whatever_the_order(weights: list[list[float]]) -> None:
    alone = np.array(weights) / np.sum(weights, axis=1, keepdims=True)
    found = conflict(alone)
    assert 0 <= found <= 1
    assert conflict(alone[::-1]) == pytest.approx(found)
