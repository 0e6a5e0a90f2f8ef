from __future__ import annotations

import random

import pytest

from mmedge.errors import ConfigError
from mmedge.proof.data.grouping import ColumnChoice, connected


def test_what_shares_an_item_over_any_steps_is_one_group() -> None:
    items = [{"b", "c"}, {"x"}, {"d", "c"}, {"a", "d"}, {"y", "x"}, {"z"}]
    assert connected(items) == ["a", "x", "a", "a", "x", "z"]


def test_the_order_of_the_samples_changes_no_group() -> None:
    draw = random.Random(3)
    items = [frozenset(str(draw.randrange(60)) for _ in range(2)) for _ in range(40)]
    groups = dict(zip(items, connected(items), strict=True))
    draw.shuffle(items)
    assert dict(zip(items, connected(items), strict=True)) == groups


def test_the_speaker_comes_before_the_session_and_any_asked_for_before_both() -> None:
    columns = {"speaker": "ann", "session": "3", "site": "hall"}
    assert ColumnChoice()("a", columns) == "ann"
    assert ColumnChoice()("a", {"session": "3"}) == "3"
    assert ColumnChoice("site")("a", columns) == "hall"
    assert ColumnChoice()("a", {"site": "hall"}) is None


def test_a_clip_without_the_column_that_is_asked_for_is_named() -> None:
    choose = ColumnChoice("site")
    choose("line 1", {"site": "hall"})
    with pytest.raises(ConfigError, match=r"line 2: no column 'site' to split by; .* are speaker"):
        choose("line 2", {"speaker": "ann"})


@pytest.mark.parametrize(
    ("first", "second"),
    [({"speaker": "ann"}, {}), ({}, {"speaker": "ann"}), ({"session": "1"}, {"speaker": "ann"})],
)
def test_a_speaker_that_only_some_clips_have_is_no_way_to_split(
    first: dict[str, str], second: dict[str, str]
) -> None:
    choose = ColumnChoice()
    choose("line 1", first)
    with pytest.raises(ConfigError, match=r"line 2: its group would be told by .* that of line 1"):
        choose("line 2", second)
