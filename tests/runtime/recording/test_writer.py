from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.runtime.recording import open_recording
from mmedge.runtime.recording.writer import SoundWriter
from mmedge.runtime.samples import Block, Frame, Line, Reading
from tests.runtime.recording.make import BEGUN_NS, MS, block, picture, same, write


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("size", [(33, 47), (1, 1), (2, 3), (480, 640)])
def test_pictures_come_back_to_the_bit_with_their_order_and_time(
    tmp_path: Path, size: tuple[int, int], order: str
) -> None:
    came = [picture(i, height=size[0], width=size[1], order=order) for i in range(4)]
    recording = open_recording(write(tmp_path / "a.recording", {"camera": came}))
    found = list(recording.samples("camera"))
    assert len(found) == 4
    assert all(map(same, found, came))


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
def test_sound_comes_back_to_the_bit_with_its_blocks(
    tmp_path: Path, channels: int, rate_hz: int
) -> None:
    came = [block(i, channels=channels, rate_hz=rate_hz) for i in range(30)]
    recording = open_recording(write(tmp_path / "a.recording", {"mic": came}))
    found = list(recording.samples("mic"))
    assert len(found) == 30
    assert all(map(same, found, came))


def test_blocks_may_have_any_length(tmp_path: Path) -> None:
    lengths = [1, 7, 480, 5_000, 3, 48_000]
    starts = np.cumsum([0, *lengths[:-1]])
    came = [
        Block(
            BEGUN_NS + int(start) * 20_833,
            np.random.default_rng(length).integers(-99, 99, (length, 2), np.int16),
            48_000,
            3,
            int(start),
        )
        for start, length in zip(starts, lengths, strict=True)
    ]
    found = list(open_recording(write(tmp_path / "a.recording", {"mic": came})).samples("mic"))
    assert len(found) == 6
    assert all(map(same, found, came))


def test_a_new_part_begins_where_size_order_rate_or_channels_change(tmp_path: Path) -> None:
    pictures = [
        picture(0),
        picture(1),
        picture(2, width=64),
        picture(3, width=64, order="bgr"),
        picture(4),
    ]
    sounds = [block(0), block(1), block(0, run=2, rate_hz=44_100), block(1, run=3, channels=2)]
    recording = open_recording(write(tmp_path / "a.recording", {"camera": pictures, "mic": sounds}))
    camera, mic = recording.header.tracks["camera"], recording.header.tracks["mic"]
    assert [(part.media, part.width, part.order) for part in camera.parts] == [
        ("camera-0.mkv", 47, "rgb"),
        ("camera-1.mkv", 64, "rgb"),
        ("camera-2.mkv", 64, "bgr"),
        ("camera-3.mkv", 47, "rgb"),
    ]
    assert [(part.rate_hz, part.channels) for part in mic.parts] == [
        (48_000, 1),
        (44_100, 1),
        (48_000, 2),
    ]
    assert all(map(same, recording.samples("camera"), pictures))
    assert all(map(same, recording.samples("mic"), sounds))
    assert (camera.samples, mic.samples) == (5, 4)


def test_lines_and_readings_come_back(tmp_path: Path) -> None:
    came = [Reading(BEGUN_NS + i * MS, np.array([i / 3, -1e-300])) for i in range(3)]
    recording = open_recording(write(tmp_path / "a.recording", {"motion": came}))
    found = list(recording.samples("motion"))
    assert [each.time_ns for each in found] == [each.time_ns for each in came]
    assert all(
        isinstance(each, Reading) and np.array_equal(each.values, other.values)
        for each, other in zip(found, came, strict=True)
    )
    assert Line(1, "a") == Line(1, "a")


def test_pictures_that_may_lose_are_a_fraction_and_nearly_the_same(tmp_path: Path) -> None:
    grid = np.add.outer(np.arange(240), np.arange(320)) % 256
    smooth = Frame(BEGUN_NS, np.repeat(grid[:, :, None], 3, axis=2).astype(np.uint8))
    sizes = []
    for lossless in (True, False):
        folder = tmp_path / f"{lossless}.recording"
        write(folder, {"camera": [smooth]}, lossless=lossless)
        (found,) = open_recording(folder).samples("camera")
        assert isinstance(found, Frame)
        error = np.abs(found.pixels.astype(int) - smooth.pixels.astype(int))
        assert np.median(error) <= (0 if lossless else 3)
        sizes.append((folder / "camera-0.mkv").stat().st_size)
    assert sizes[1] < sizes[0] * 2  # an odd picture; photographs take a tenth


def test_what_flac_cannot_hold_is_refused(tmp_path: Path) -> None:
    with (
        SoundWriter(tmp_path, "mic") as writer,
        pytest.raises(OSError, match="sound of 9 channels; FLAC has 8 at most"),
    ):
        writer.write(block(0, channels=9))


def test_capture_times_stand_still_or_leap_without_harm(tmp_path: Path) -> None:
    times: list[Any] = [0, 1, 2, 500_000, 500_001, 10_000_000_000]
    came = [Frame(BEGUN_NS + each, picture(i).pixels) for i, each in enumerate(times)]
    found = list(
        open_recording(write(tmp_path / "a.recording", {"camera": came})).samples("camera")
    )
    assert [each.time_ns - BEGUN_NS for each in found] == times
    assert all(map(same, found, came))
