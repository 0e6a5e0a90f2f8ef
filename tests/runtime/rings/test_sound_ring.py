from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmedge.runtime.rings import SoundRing, Window
from mmedge.runtime.samples import Block
from mmedge.specs import Sound

MS = 1_000_000
SPEC = Sound(rate_hz=1000, window_ms=40, hop_ms=20)
BEGIN_NS = 5_000 * MS


def blocks(
    count: int,
    size: int,
    *,
    run: int = 1,
    begin_ns: int = BEGIN_NS,
    rate_hz: int = 1000,
    first: int = 0,
) -> list[Block]:
    """Unbroken sound whose sample ``i`` is ``i``."""
    made = []
    for index in range(0, count, size):
        samples = np.arange(index, min(index + size, count), dtype=np.int16)[:, None] + first
        time_ns = begin_ns + index * 1_000_000_000 // rate_hz
        made.append(Block(time_ns, samples, rate_hz, run, index))
    return made


def values(window: Window | None) -> list[int]:
    assert window is not None
    return np.rint(np.asarray(window.raw) * 32768).astype(int).tolist()


def drained(ring: SoundRing, given_blocks: list[Block]) -> list[Window]:
    windows = []
    for block in given_blocks:
        ring.push(block)
        while (window := ring.take()) is not None:
            windows.append(window)
    return windows


def test_a_window_ends_on_the_grid_of_the_hop_whatever_the_blocks_are() -> None:
    ring = SoundRing("mic", SPEC)
    for block in blocks(100, 7, begin_ns=BEGIN_NS + 3 * MS):
        ring.push(block)
    window = ring.take()
    assert window is not None
    # The last sample was captured at 5003 + 99 ms; the newest whole hop ends at 5100 ms.
    assert window.end_ns == 5_100 * MS
    assert window.begin_ns == 5_060 * MS
    assert values(window) == list(range(57, 97))


def test_the_newest_window_is_given_once_and_the_ones_before_are_counted() -> None:
    ring = SoundRing("mic", SPEC)
    given_blocks = blocks(200, 10)
    for block in given_blocks[:4]:
        ring.push(block)
    first = ring.take()
    assert first is not None
    assert first.end_ns == BEGIN_NS + 40 * MS
    assert ring.take() is None
    for block in given_blocks[4:]:
        ring.push(block)
    second = ring.take()
    assert second is not None
    assert second.end_ns == BEGIN_NS + 200 * MS
    assert second.skipped == 7
    assert ring.take() is None


def test_less_than_half_a_window_is_none() -> None:
    ring = SoundRing("mic", SPEC)
    for block in blocks(19, 19):
        ring.push(block)
    assert ring.take() is None


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 64),
    other=st.integers(1, 64),
    jitter=st.integers(-300_000, 300_000),
    rate_hz=st.sampled_from([1000, 1600, 3000]),
)
def test_how_the_sound_is_cut_into_blocks_changes_no_window(
    size: int, other: int, jitter: int, rate_hz: int
) -> None:
    anchors = [
        (i, BEGIN_NS + i * 1_000_000_000 // rate_hz + (jitter if i % 2 else 0))
        for i in range(0, 600, 50)
    ]
    samples = np.random.default_rng(0).integers(-9000, 9000, (600, 1)).astype(np.int16)

    def cut(length: int) -> list[Block]:
        pieces = []
        for index in range(0, 600, length):
            stop = min(index + length, 600)
            inside = tuple(anchor for anchor in anchors if index <= anchor[0] < stop)
            time_ns = BEGIN_NS + index * 1_000_000_000 // rate_hz
            pieces.append(Block(time_ns, samples[index:stop], rate_hz, 1, index, anchors=inside))
        return pieces

    one = drained(SoundRing("mic", SPEC, every=True), cut(size))
    two = drained(SoundRing("mic", SPEC, every=True), cut(other))
    # With larger blocks fewer windows may have come at the very end.
    for a, b in zip(one, two, strict=False):
        assert a.place == b.place
        assert np.array_equal(np.asarray(a.raw), np.asarray(b.raw))
    assert abs(len(one) - len(two)) <= 4


def test_lost_samples_are_silence_at_their_own_time() -> None:
    ring = SoundRing("mic", SPEC)
    for block in blocks(50, 10, first=1000):
        ring.push(block)
    # 10 ms are lost, and a new run begins 60 ms after the first.
    for block in blocks(20, 10, run=2, begin_ns=BEGIN_NS + 60 * MS, first=2000):
        ring.push(block)
    window = ring.take()
    assert window is not None
    assert window.end_ns == BEGIN_NS + 80 * MS
    assert values(window) == [
        *range(1040, 1050),
        *([0] * 10),
        *range(2000, 2020),
    ]


def test_consecutive_windows_lose_no_sample_and_repeat_none() -> None:
    spec = Sound(rate_hz=1000, window_ms=32, hop_ms=32)
    ring = SoundRing("mic", spec, consecutive=True)
    windows = drained(ring, blocks(320, 13))
    assert [values(window) for window in windows] == [
        list(range(begin, begin + 32)) for begin in range(0, 320, 32)
    ]
    assert [window.reset for window in windows] == ["start", *([""] * 9)]


@pytest.mark.parametrize("late", [0, 3])
@pytest.mark.parametrize("size", [20, 64])
def test_when_consecutive_windows_end_does_not_depend_on_when_they_are_taken(
    size: int, late: int
) -> None:
    spec = Sound(rate_hz=1000, window_ms=40, hop_ms=40)
    scatter = np.random.default_rng(0).integers(-100_000, 100_000, 100)
    anchors = [(i * 20, BEGIN_NS + i * 20 * MS + int(scatter[i])) for i in range(100)]
    ring, ends_ns = SoundRing("mic", spec, consecutive=True), []
    for number, block in enumerate(blocks(1920, size)):
        stop = block.index + len(block.samples)
        inside = tuple(anchor for anchor in anchors if block.index <= anchor[0] < stop)
        ring.push(replace(block, anchors=inside))
        while number >= late and (window := ring.take()) is not None:
            ends_ns.append(window.end_ns)
            again = ring.cut(window.place)
            assert again is not None
            assert again.end_ns == window.end_ns
    # By the last reading before the end, which lies 20 samples before it.
    assert len(ends_ns) == 48
    assert ends_ns == [anchors[2 * i + 1][1] + 20 * MS for i in range(48)]


def test_a_gap_resets_an_encoder_with_state_and_its_windows_begin_anew() -> None:
    spec = Sound(rate_hz=1000, window_ms=32, hop_ms=32)
    ring = SoundRing("mic", spec, consecutive=True)
    later = blocks(64, 16, run=2, begin_ns=BEGIN_NS + 500 * MS, first=500)
    windows = drained(ring, blocks(80, 16) + later)
    assert [values(window)[0] for window in windows] == [0, 32, 500, 532]
    assert [window.reset for window in windows] == ["start", "", "there was a gap", ""]


def test_an_encoder_with_state_that_falls_behind_is_told_what_was_dropped() -> None:
    spec = Sound(rate_hz=1000, window_ms=32, hop_ms=32)
    ring = SoundRing("mic", spec, consecutive=True)
    given_blocks = blocks(6400, 32)
    ring.push(given_blocks[0])
    first = ring.take()
    assert first is not None
    for block in given_blocks[1:]:
        ring.push(block)
    second = ring.take()
    assert second is not None
    assert second.skipped > 0
    assert second.reset == f"{second.skipped} windows were dropped"
    assert values(second)[0] == 32 + 32 * second.skipped


def test_a_window_can_be_cut_again_from_its_place() -> None:
    ring = SoundRing("mic", SPEC)
    windows = []
    for block in blocks(120, 10, begin_ns=BEGIN_NS + 1_234_567, rate_hz=1000):
        ring.push(block)
        window = ring.take()
        if window is not None:
            windows.append(window)
    again = SoundRing("mic", SPEC, every=True)
    feed = iter(blocks(120, 10, begin_ns=BEGIN_NS + 1_234_567, rate_hz=1000))
    for window in windows:
        cut = again.cut(window.place)
        while cut is None:
            again.push(next(feed))
            cut = again.cut(window.place)
        assert np.array_equal(np.asarray(cut.raw), np.asarray(window.raw))
        assert cut.end_ns == window.end_ns


def test_memory_does_not_grow_with_the_stream() -> None:
    ring = SoundRing("mic", SPEC)
    for block in blocks(32_000, 10):
        ring.push(block)
    run = ring._runs[-1]
    assert run.stop - run.first < 700
    assert len(run._anchors) < 100


def test_a_clock_that_was_set_back_begins_anew() -> None:
    ring = SoundRing("mic", SPEC)
    for block in blocks(100, 10):
        ring.push(block)
    assert ring.take() is not None
    for block in blocks(100, 10, run=2, begin_ns=BEGIN_NS - 4_000 * MS):
        ring.push(block)
    window = ring.take()
    assert window is not None
    assert window.end_ns == BEGIN_NS - 3_900 * MS
    assert window.reset == "its clock was set back"


@pytest.mark.parametrize("rate_hz", [8000, 44_100, 48_000])
def test_another_rate_is_brought_to_the_encoders_and_keeps_its_time(rate_hz: int) -> None:
    spec = Sound(rate_hz=16_000, window_ms=100, hop_ms=50)
    tone = np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz)
    samples = np.rint(tone * 20_000).astype(np.int16)[:, None]
    ring = SoundRing("mic", spec)
    for index in range(0, rate_hz, 441):
        piece = samples[index : index + 441]
        ring.push(Block(BEGIN_NS + index * 1_000_000_000 // rate_hz, piece, rate_hz, 1, index))
    window = ring.take()
    assert window is not None
    begin_s = (window.begin_ns - BEGIN_NS) / 1e9
    expected = np.sin(2 * np.pi * 440 * (begin_s + np.arange(1600) / 16_000)) * 20_000 / 32_768
    assert np.abs(np.asarray(window.raw) - expected).max() < 0.01
