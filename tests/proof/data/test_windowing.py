from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmedge.proof.data.windowing import MAX_STEPS, answered, cut_raw
from mmedge.runtime.preprocess import Pcm
from mmedge.runtime.windows.walk import WindowSample
from mmedge.specs import Image, Signal, Sound

SOUND = Sound(rate_hz=1000, window_ms=2, hop_ms=2)
STEREO = Sound(rate_hz=1000, window_ms=2, hop_ms=2, channels=2)


def walk(*windows: dict[str, Any], broken: dict[int, str] | None = None) -> list[WindowSample]:
    at = broken or {}
    return [
        WindowSample(number, raw, frozenset({at[number]} if number in at else ()))
        for number, raw in enumerate(windows)
    ]


def test_without_a_state_the_first_window_is_heard_and_no_other_is_read() -> None:
    windows = iter(walk({"ear": 1}, {"ear": 2}))
    assert answered(windows, ()) == ({"ear": 1}, {})
    assert next(windows).raw == {"ear": 2}


def test_with_a_state_the_windows_before_the_last_are_heard_in_order() -> None:
    heard = answered(walk({"ear": 1}, {"ear": 2}, {"ear": 3}), ("ear",))
    assert heard == ({"ear": 3}, {"ear": (1, 2)})


def test_the_model_answers_where_most_modalities_are_there() -> None:
    windows = walk({"ear": 1}, {"ear": 2, "eye": 7}, {"ear": 3, "eye": 8}, {"eye": 9})
    assert answered(windows, ("ear",)) == ({"ear": 3, "eye": 8}, {"ear": (1, 2)})


def test_a_window_that_is_absent_begins_a_state_anew() -> None:
    assert answered(walk({"ear": 1}, {}, {"ear": 3}, {"ear": 4}), ("ear",))[1] == {"ear": (3,)}


@pytest.mark.parametrize(("number", "before"), [(1, {"ear": (3,)}), (2, {}), (3, {})])
def test_a_state_reaches_not_over_a_window_that_was_not_recorded_whole(
    number: int, before: dict[str, tuple[int, ...]]
) -> None:
    windows = walk({"ear": 1}, {"ear": 2}, {"ear": 3}, {"ear": 4}, broken={number: "ear"})
    assert answered(windows, ("ear",)) == ({"ear": 4}, before)


def test_of_a_long_clip_only_so_many_windows_are_heard() -> None:
    raw, before = answered(walk(*({"ear": n} for n in range(MAX_STEPS + 9))), ("ear",))
    assert raw == {"ear": 59}
    assert len(before["ear"]) == 59


def test_nothing_in_any_window_is_nothing() -> None:
    assert answered(walk({}, {}), ("ear",)) == ({}, {})


@pytest.mark.parametrize(
    ("modality", "raw", "windows"),
    [
        (SOUND, np.float32([1, 2, 3, 4, 5]), [[1, 2], [3, 4]]),
        (SOUND, Pcm(np.float32([1, 2, 3, 4]), 1000), [[1, 2], [3, 4]]),
        (SOUND, np.float32([1]), [[1]]),
        (STEREO, np.float32([[1, 2, 3, 4], [5, 6, 7, 8]]), [[[1, 2], [5, 6]], [[3, 4], [7, 8]]]),
        (
            Signal(channels=1, rate_hz=1000, window_ms=2, hop_ms=2),
            np.float32([[1], [2], [3], [4]]),
            [[[1], [2]], [[3], [4]]],
        ),
    ],
)
def test_a_long_raw_input_is_cut_as_files_are(modality: Any, raw: Any, windows: list[Any]) -> None:
    cut = cut_raw("ear", modality, raw, remembers=True)
    assert [each.tolist() for each in cut] == windows
    first = cut_raw("ear", modality, raw, remembers=False)
    assert [each.tolist() for each in first] == windows[:1]


def test_what_has_no_length_in_time_is_left_as_it_is() -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    assert cut_raw("eye", Image(height=4, width=4), picture, remembers=False) == [picture]
    assert cut_raw("ear", SOUND, "no sound", remembers=True) == ["no sound"]
