from __future__ import annotations

import numpy as np
import pytest

from mmedge.proof.subsets import presence_rows, row_name

LETTERS = tuple("abcdefghij")


@pytest.mark.parametrize(("modalities", "rows"), [(1, 2), (2, 4), (3, 8), (4, 16), (6, 64)])
def test_up_to_six_modalities_every_subset_is_proven(modalities: int, rows: int) -> None:
    found = presence_rows(LETTERS[:modalities])
    assert found.shape == (rows, modalities)
    assert found.dtype == np.bool_
    assert len({tuple(row) for row in found.tolist()}) == rows


def test_fuller_subsets_come_first() -> None:
    names = ("a", "b")
    found = [row_name(names, row) for row in presence_rows(names)]
    assert found == ["a+b", "a", "b", "nothing"]


@pytest.mark.parametrize("modalities", [7, 10])
def test_beyond_six_the_full_set_the_singles_all_but_one_and_others_are_proven(
    modalities: int,
) -> None:
    found = presence_rows(LETTERS[:modalities])
    counts = found.sum(axis=1).tolist()
    assert counts[0] == modalities
    assert counts[-1] == 0
    assert counts.count(modalities) == counts.count(0) == 1
    assert counts.count(1) >= modalities
    assert counts.count(modalities - 1) >= modalities
    assert len({tuple(row) for row in found.tolist()}) == len(found)
    assert 2 + 2 * modalities + 16 <= len(found) <= 2 + 2 * modalities + 32


def test_the_drawn_subsets_are_the_same_every_time() -> None:
    assert np.array_equal(presence_rows(LETTERS), presence_rows(LETTERS))


def test_a_subset_is_written_in_the_order_of_the_manifest() -> None:
    assert row_name(("mic", "camera", "hint"), np.array([True, False, True])) == "mic+hint"
