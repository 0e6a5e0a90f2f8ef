from __future__ import annotations

import pytest

from mmedge.proof import turns
from mmedge.proof.turns import rounds_of


def test_who_begins_changes_from_round_to_round() -> None:
    given = list(rounds_of("abc", rounds=3, least=1, most_s=60.0))
    assert given == [
        (0, ["a", "b", "c"]),
        (1, ["b", "c", "a"]),
        (2, ["c", "a", "b"]),
        (3, ["a", "b", "c"]),
    ]


def test_who_is_taken_out_has_no_further_turn() -> None:
    who = {"a": 1, "b": 2}
    given = []
    for number, order in rounds_of(who, rounds=2, least=1, most_s=60.0):
        given.append((number, order))
        who.pop("a", None)
    assert given == [(0, ["a", "b"]), (1, ["b"]), (2, ["b"])]


def test_after_so_long_there_are_no_more_than_the_least(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = iter((0.0, 4.0, 5.0, 6.0))  # at the begin, and after rounds 2, 3 and 4
    monkeypatch.setattr(turns.time, "monotonic", lambda: next(now_s))
    given = [number for number, _ in rounds_of("ab", rounds=9, least=2, most_s=5.0)]
    assert given == [0, 1, 2, 3, 4]
