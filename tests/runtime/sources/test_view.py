from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmedge.errors import ConfigError, SourceError
from mmedge.runtime.sources.view import View

# Each pixel tells its row and column: [[00, 01, 02], [10, 11, 12]].
PICTURE = np.repeat(np.array([[0, 1, 2], [10, 11, 12]], np.uint8)[..., np.newaxis], 3, axis=2)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (View(), [[0, 1, 2], [10, 11, 12]]),
        (View(rotate=90), [[10, 0], [11, 1], [12, 2]]),
        (View(rotate=180), [[12, 11, 10], [2, 1, 0]]),
        (View(rotate=270), [[2, 12], [1, 11], [0, 10]]),
        (View(flip="horizontal"), [[2, 1, 0], [12, 11, 10]]),
        (View(flip="vertical"), [[10, 11, 12], [0, 1, 2]]),
        (View(rotate=90, flip="horizontal"), [[0, 10], [1, 11], [2, 12]]),
        (View(crop=(1, 0, 2, 1)), [[1, 2]]),
        (View(rotate=90, crop=(0, 1, 1, 2)), [[11], [12]]),
    ],
)
def test_a_picture_is_rotated_then_flipped_then_cropped(
    view: View, expected: list[list[int]]
) -> None:
    seen = view.apply(PICTURE)
    assert seen[..., 0].tolist() == expected
    assert seen.flags.c_contiguous


def test_a_picture_with_nothing_to_do_is_not_copied() -> None:
    assert View().apply(PICTURE) is PICTURE


def test_a_picture_smaller_than_the_crop_is_an_error() -> None:
    with pytest.raises(SourceError, match=r"is 3x2, and crop=\(2, 0, 2, 1\)"):
        View(crop=(2, 0, 2, 1)).apply(PICTURE)


@pytest.mark.parametrize(
    "wrong", [{"rotate": 45}, {"flip": "both"}, {"crop": (0, 0, 0, 1)}, {"crop": (-1, 0, 1, 1)}]
)
def test_a_view_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        View(**wrong)
