from __future__ import annotations

import json
import random

import numpy as np
import pytest

from mmedge.errors import ArtefactError, ConfigError
from mmedge.proof.data.splitting import PARTS, Split, split


def parts_of(groups: list[str], found: Split) -> dict[str, set[str]]:
    return {part: {groups[row] for row in getattr(found, part)} for part in PARTS}


def test_every_sample_is_in_one_part_and_no_group_in_two() -> None:
    groups = [f"speaker {row % 11}" for row in range(300)]
    found = split(groups)
    rows = np.concatenate([found.ranges, found.search, found.report])
    assert sorted(rows.tolist()) == list(range(300))
    ranges, search, report = parts_of(groups, found).values()
    assert not (ranges & search | search & report | ranges & report)


def test_many_small_groups_fill_the_shares() -> None:
    found = split([str(row) for row in range(1000)])
    assert (len(found.ranges), len(found.search), len(found.report)) == (200, 400, 400)


def test_the_order_of_the_clips_plays_no_part() -> None:
    groups = [f"speaker {row % 13}" for row in range(200)]
    before = parts_of(groups, split(groups))
    random.Random(1).shuffle(groups)
    assert parts_of(groups, split(groups)) == before


@pytest.mark.parametrize("sizes", [(98, 1, 1), (1, 98, 1), (1, 1, 98), (1, 1, 1)])
def test_three_groups_of_any_sizes_are_three_parts(sizes: tuple[int, ...]) -> None:
    for seed in range(8):  # other names, and so another order
        groups = [
            f"{seed}{name}" for name, size in zip("abc", sizes, strict=True) for _ in range(size)
        ]
        found = split(groups)
        assert min(len(found.ranges), len(found.search), len(found.report)) >= 1


def test_of_few_unequal_groups_the_largest_are_for_the_proof() -> None:
    for seed in range(8):
        groups = [
            f"{seed} {name}" for name, size in (("a", 9), ("b", 60), ("c", 40)) for _ in range(size)
        ]
        found = split(groups)
        sizes = len(found.ranges), len(found.search), len(found.report)
        assert sizes == (9, 60, 40)


def test_two_groups_are_refused_with_what_is_needed() -> None:
    with pytest.raises(
        ConfigError, match=r"the 9 clips are of 2 group\(s\) \('ann', 'bob'\).*at least 3 speakers"
    ):
        split(["ann"] * 5 + ["bob"] * 4)


def test_shares_have_to_be_shares() -> None:
    with pytest.raises(ConfigError, match="must be positive and add up to 1"):
        split(["a", "b", "c"], (0.5, 0.5, 0.5))


def test_a_split_is_found_again_among_other_clips_in_another_order() -> None:
    groups = [f"speaker {row % 9}" for row in range(100)]
    found = split(groups)
    kept = json.loads(json.dumps(found.to_json()))
    assert "speaker" not in json.dumps(kept)
    others = [f"speaker {row}" for row in (8, 3, 77, 0, 5)]
    again = parts_of(others, Split.from_json(kept, others))
    before = parts_of(groups, found)
    assert again == {part: before[part] & set(others) for part in PARTS}
    assert not any("speaker 77" in each for each in again.values())


@pytest.mark.parametrize("fields", [{}, {part: [] for part in PARTS}])
def test_what_is_no_split_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ArtefactError, match="calibrate again"):
        Split.from_json(fields, ["a"])
