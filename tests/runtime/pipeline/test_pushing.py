from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmedge.errors import ConfigError
from mmedge.runtime.pipeline.pushing import Pusher
from mmedge.runtime.preprocess import Pcm, Picture
from mmedge.runtime.samples import Block, Frame, Line, Reading
from mmedge.specs import Image, Signal, Sound

MS = 1_000_000
NOW = 10**15
MIC = Sound(rate_hz=1000, window_ms=100, hop_ms=50)


def test_a_picture_is_stamped_and_its_order_kept() -> None:
    pusher = Pusher("camera", Image(height=8, width=8))
    pixels = np.zeros((4, 6, 3), np.uint8)
    frame = pusher(pixels, NOW - MS, NOW)
    assert isinstance(frame, Frame)
    assert (frame.time_ns, frame.order) == (NOW - MS, "rgb")
    frame = pusher(Picture(pixels[:, ::-1], "bgr"), None, NOW)
    assert isinstance(frame, Frame)
    assert (frame.time_ns, frame.order) == (NOW, "bgr")
    assert frame.pixels.flags.c_contiguous
    assert type(pusher(pixels, np.int64(NOW), NOW).time_ns) is int  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 6), np.uint8),
        np.zeros((4, 6, 4), np.uint8),
        np.zeros((4, 6, 3), np.float32),
        np.zeros((0, 6, 3), np.uint8),
        np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (60_000, 60_000, 3), (0, 0, 0)),
        "a picture",
        None,
    ],
    ids=["grey", "alpha", "float", "empty", "huge", "text", "none"],
)
def test_what_is_no_picture_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="modality 'camera' takes a picture"):
        Pusher("camera", Image(height=8, width=8))(wrong, None, NOW)


def test_sound_that_follows_on_is_one_run_and_a_gap_begins_another() -> None:
    pusher = Pusher("mic", MIC)
    made = []
    for time_ms in (
        0,
        100,
        249,
        360,
        300,
    ):  # the third is 49 ms late, the fourth 11, the fifth early
        block = pusher(np.zeros(100, np.int16), NOW + time_ms * MS, NOW)
        assert isinstance(block, Block)
        made.append((block.run, block.index))
    assert made == [(1, 0), (1, 100), (1, 200), (1, 300), (2, 0)]


def test_another_rate_or_number_of_channels_begins_another_run() -> None:
    pusher = Pusher("mic", MIC)
    blocks = [
        pusher(np.zeros(100, np.int16), NOW, NOW),
        pusher(Pcm(np.zeros((1, 200), np.float32), 2000), NOW + 100 * MS, NOW),
        pusher(np.zeros((100, 2), np.int16), NOW + 200 * MS, NOW),
    ]
    assert [(each.run, each.index) for each in blocks if isinstance(each, Block)] == [
        (1, 0),
        (2, 0),
        (3, 0),
    ]


def test_sound_without_a_time_has_just_ended() -> None:
    block = Pusher("mic", MIC)(np.zeros(100, np.float32), None, NOW)
    assert block.time_ns == NOW - 100 * MS


def test_floats_become_the_nearest_integers_and_full_scale_does_not_wrap() -> None:
    block = Pusher("mic", MIC)(np.array([-2, -1, 0, 0.5, 1, 2], np.float32), None, NOW)
    assert isinstance(block, Block)
    assert block.samples[:, 0].tolist() == [-32_768, -32_768, 0, 16_384, 32_767, 32_767]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_sound_that_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(ConfigError, match="holds a NaN or an infinity"):
        Pusher("mic", MIC)(np.full(4, bad, np.float32), None, NOW)


@pytest.mark.parametrize("time_ns", [0, NOW + 61 * 10**9, 1.5, "now", True])
def test_a_time_of_another_clock_is_refused(time_ns: Any) -> None:
    with pytest.raises(ConfigError, match=r"give integer nanoseconds of time\.monotonic_ns"):
        Pusher("mic", MIC)(np.zeros(4, np.int16), time_ns, NOW)


def test_numbers_and_texts_are_taken_as_such() -> None:
    signal = Pusher("motion", Signal(channels=2, rate_hz=10, window_ms=100, hop_ms=100))
    reading = signal([1, 2.5], None, NOW)
    assert isinstance(reading, Reading)
    assert reading.values.tolist() == [1.0, 2.5]
    with pytest.raises(ConfigError, match="takes 2 numbers, but got str"):
        signal("fast", None, NOW)


def test_a_text_is_a_text() -> None:
    from mmedge.bundle import open_bundle
    from tests.conftest import DEMO

    pusher = Pusher("hint", open_bundle(DEMO).manifest.modalities["hint"])
    assert pusher("even", None, NOW) == Line(NOW, "even")
    with pytest.raises(ConfigError, match="takes a text, but got bytes"):
        pusher(b"even", None, NOW)


def test_a_picture_from_the_future_is_refused() -> None:
    pusher, pixels = Pusher("camera", Image(height=8, width=8)), np.zeros((4, 6, 3), np.uint8)
    assert pusher(pixels, NOW + 900 * MS, NOW).time_ns == NOW + 900 * MS
    with pytest.raises(ConfigError, match="or 1 s after it"):
        pusher(pixels, NOW + 1_100 * MS, NOW)
