from __future__ import annotations

import numpy as np
import pytest

from mmedge.errors import ConfigError
from mmedge.runtime.preprocess import Picture
from mmedge.runtime.rings import FrameRing, SignalRing, TextRing, make_ring
from mmedge.runtime.samples import Frame, Line, Reading
from mmedge.specs import Image, Signal, Text

MS = 1_000_000
ONE = Image(height=4, width=4)
CLIP = Image(height=4, width=4, frames=3, stride_ms=100)
SIGNAL = Signal(channels=2, rate_hz=100, window_ms=100, hop_ms=50)


def frame(time_ms: int, value: int = 0, size: int = 4) -> Frame:
    return Frame(time_ms * MS, np.full((size, size, 3), value, np.uint8))


def reading(time_ms: float, *numbers: float) -> Reading:
    return Reading(int(time_ms * MS), np.array(numbers))


def test_the_newest_picture_is_given_once_and_older_ones_are_skipped() -> None:
    ring = FrameRing("camera", ONE)
    for time_ms in (10, 20, 30):
        ring.push(frame(time_ms, time_ms))
    window = ring.take()
    assert window is not None
    assert (window.place, window.skipped, window.reset) == ((30 * MS,), 2, "start")
    assert isinstance(window.raw, Picture)
    assert window.raw.pixels[0, 0, 0] == 30
    assert ring.take() is None


def test_a_clip_is_made_of_the_pictures_at_its_stride() -> None:
    ring = FrameRing("camera", CLIP)
    for time_ms in range(0, 400, 50):
        ring.push(frame(time_ms))
    window = ring.take()
    assert window is not None
    assert window.place == (150 * MS, 250 * MS, 350 * MS)
    assert (window.begin_ns, window.end_ns) == (150 * MS, 350 * MS)


def test_a_clip_with_a_gap_is_none() -> None:
    ring = FrameRing("camera", CLIP)
    for time_ms in (0, 50, 1000):
        ring.push(frame(time_ms))
    assert ring.take() is None


def test_pictures_of_another_size_begin_a_clip_anew() -> None:
    ring = FrameRing("camera", CLIP)
    for time_ms in range(0, 250, 50):
        ring.push(frame(time_ms))
    ring.push(frame(250, size=6))
    assert ring.take() is None


def test_a_picture_with_an_earlier_time_is_dropped_and_counted() -> None:
    ring = FrameRing("camera", ONE)
    ring.push(frame(100))
    ring.push(frame(90))
    assert ring.disordered == 1
    window = ring.take()
    assert window is not None
    assert window.end_ns == 100 * MS


def test_a_camera_clock_that_was_set_back_is_followed() -> None:
    ring = FrameRing("camera", ONE)
    ring.push(frame(60_000))
    assert ring.take() is not None
    ring.push(frame(10))
    window = ring.take()
    assert window is not None
    assert (window.end_ns, window.reset) == (10 * MS, "its clock was set back")


def test_every_picture_is_given_where_that_is_wanted() -> None:
    ring = FrameRing("camera", ONE, every=True)
    for time_ms in (10, 20, 30):
        ring.push(frame(time_ms))
    taken = [ring.take(), ring.take(), ring.take(), ring.take()]
    assert [None if each is None else each.end_ns // MS for each in taken] == [10, 20, 30, None]


def test_every_clip_is_given_where_that_is_wanted() -> None:
    ring = FrameRing("camera", CLIP, every=True)
    ends = []
    for time_ms in [*range(0, 500, 50), *range(2000, 2400, 50)]:
        ring.push(frame(time_ms))
        while (window := ring.take()) is not None:
            ends.append((window.end_ns // MS, window.reset))
    # Those without a picture about 100 and 200 ms before them are no ends of clips.
    assert ends == [
        (200, "start"),
        *((time_ms, "") for time_ms in (250, 300, 350, 400, 450)),
        (2200, "4 pictures were dropped"),
        *((time_ms, "") for time_ms in (2250, 2300, 2350)),
    ]


def test_of_the_clips_that_wait_the_newest_eight_are_kept() -> None:
    ring = FrameRing("camera", CLIP, every=True)
    for time_ms in range(0, 5000, 50):
        ring.push(frame(time_ms))
    assert len(ring._frames) == 12  # 8 ends, and 200 ms before the oldest of them
    window = ring.take()
    assert window is not None
    assert window.end_ns == 4600 * MS


def test_a_signal_lies_on_straight_lines_between_its_readings() -> None:
    ring = SignalRing("motion", SIGNAL)
    for time_ms in range(1000, 1125, 20):  # half the encoder's rate
        ring.push(reading(time_ms, time_ms, -time_ms))
    window = ring.take()
    assert window is not None
    assert window.end_ns == 1100 * MS
    first, second = np.asarray(window.raw).T
    assert np.allclose(first, np.arange(1000, 1100, 10))
    assert np.allclose(second, -np.arange(1000, 1100, 10))


def test_a_gap_in_a_signal_is_no_window_and_the_next_says_so() -> None:
    ring = SignalRing("motion", SIGNAL)
    for time_ms in range(1000, 1110, 10):
        ring.push(reading(time_ms, 0, 0))
    assert ring.take() is not None
    ring.push(reading(1400, 0, 0))
    assert ring.take() is None
    for time_ms in range(1410, 1510, 10):
        ring.push(reading(time_ms, 0, 0))
    window = ring.take()
    assert window is not None
    assert window.reset == "there was a gap"


def test_readings_that_do_not_fit_are_refused() -> None:
    ring = SignalRing("motion", SIGNAL)
    with pytest.raises(ConfigError, match="takes 2 numbers per reading"):
        ring.push(reading(1, 1.0))
    with pytest.raises(ConfigError, match="NaN"):
        ring.push(reading(1, 1.0, float("nan")))


def test_a_text_holds_until_the_next() -> None:
    ring = TextRing("hint")
    assert ring.take() is None
    ring.push(Line(1 * MS, "even"))
    ring.push(Line(2 * MS, "odd"))
    window = ring.take()
    assert window is not None
    assert (window.raw, window.place, window.skipped) == ("odd", (1,), 1)
    assert ring.take() is None


def test_an_encoder_with_state_cannot_have_a_text() -> None:
    with pytest.raises(ConfigError, match="needs windows"):
        make_ring("hint", Text(tokenizer="t.json", max_tokens=4), consecutive=True)
