"""Time: which samples and pictures belong to which window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmedge.errors import ConfigError
from mmedge.runtime.preprocess import Pcm
from mmedge.runtime.windows import (
    cut_sound,
    latest_frame,
    pick_frames,
    window_ends_ns,
)
from mmedge.specs import Sound

MS = 1_000_000


@pytest.mark.parametrize(
    ("duration", "expected"),
    [(0, [10]), (9, [10]), (10, [10]), (12, [10]), (13, [10, 13]), (20, [10, 13, 16, 19])],
)
def test_ends_lie_on_a_fixed_grid_and_there_is_at_least_one(
    duration: int, expected: list[int]
) -> None:
    assert list(window_ends_ns(duration, 10, 3)) == expected


@pytest.mark.parametrize("wrong", [(-1, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_lengths_that_cannot_be_are_refused(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match="must be positive"):
        window_ends_ns(*wrong)


@given(st.integers(0, 10**11), st.integers(1, 10**10), st.integers(10**7, 10**10))
def test_ends_never_pass_the_recording_and_leave_less_than_a_hop(
    duration: int, length: int, hop: int
) -> None:
    ends = list(window_ends_ns(duration, length, hop))
    assert ends == [length + index * hop for index in range(len(ends))]
    assert ends[-1] <= max(duration, length) < ends[-1] + hop


SMALL = Sound(rate_hz=1000, window_ms=4, hop_ms=2)


@pytest.mark.parametrize(
    ("end_ms", "expected"),
    [
        (4, [1, 2, 3, 4]),
        (6, [3, 4, 5, 6]),
        (2, [0, 0, 1, 2]),
        (8, [5, 6, 0, 0]),
        (0, [0, 0, 0, 0]),
        (-5, [0, 0, 0, 0]),
        (99, [0, 0, 0, 0]),
    ],
)
def test_a_window_of_sound_is_silent_where_the_sound_is_not(
    end_ms: int, expected: list[int]
) -> None:
    pcm = Pcm(np.arange(1, 7, dtype=np.float32), 1000)
    assert cut_sound(pcm, end_ms * MS, SMALL).tolist() == expected
    later = cut_sound(pcm, (end_ms + 70) * MS, SMALL, start_ns=70 * MS)
    assert later.tolist() == expected


def test_a_window_of_several_channels_keeps_their_axis() -> None:
    pcm = Pcm(np.arange(12, dtype=np.float32).reshape(2, 6), 1000)
    spec = Sound(rate_hz=1000, window_ms=4, hop_ms=2, channels=2)
    assert cut_sound(pcm, 5 * MS, spec).tolist() == [[1, 2, 3, 4], [7, 8, 9, 10]]


def test_a_window_is_not_cut_from_a_sound_of_another_rate_or_width() -> None:
    for pcm in (Pcm(np.zeros(9, np.float32), 2000), Pcm(np.zeros((2, 9), np.float32), 1000)):
        with pytest.raises(ConfigError, match="convert the whole sound first"):
            cut_sound(pcm, 4 * MS, SMALL)


def test_the_latest_picture_is_the_one_before_the_end() -> None:
    times = [0, 40, 80]
    assert [latest_frame(times, end, 50) for end in (0, 1, 40, 41, 80, 81)] == [
        None, 0, 0, 1, 1, 2,
    ]  # fmt: skip


def test_a_picture_that_is_too_old_is_none() -> None:
    assert latest_frame([0, 40], 90, 50) == 1
    assert latest_frame([0, 40], 91, 50) is None
    assert latest_frame([], 91, 50) is None


def test_a_clip_is_picked_by_capture_time() -> None:
    times = [0, 33, 66, 100, 133, 166, 200]
    assert pick_frames(times, 201, 3, 100, 50) == (0, 3, 6)
    assert pick_frames(times, 200, 3, 100, 50) is None  # nothing before 0
    assert pick_frames(times, 190, 2, 10, 50) == (5, 5)
    assert pick_frames([0, 33, 166, 200], 210, 3, 50, 127) == (1, 1, 3)
    assert pick_frames([0, 33, 166, 200], 210, 3, 50, 126) is None


@given(
    st.lists(st.integers(0, 5000), max_size=40).map(sorted),
    st.integers(0, 6000),
    st.integers(1, 5),
    st.integers(1, 900),
    st.integers(1, 6000),
)
def test_a_clip_never_looks_ahead_nor_back_too_far(
    times: list[int], end: int, frames: int, stride: int, max_age: int
) -> None:
    picked = pick_frames(times, end, frames, stride, max_age)
    if picked is not None:
        assert list(picked) == sorted(picked)
        for index, back in zip(picked, range(frames - 1, -1, -1), strict=True):
            target = end - back * stride
            assert target - max_age <= times[index] < target
            assert all(time >= target for time in times[index + 1 :])
