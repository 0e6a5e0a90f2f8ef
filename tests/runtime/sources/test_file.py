from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from mmedge.errors import ConfigError, SourceError
from mmedge.runtime.clips.sound import open_sound
from mmedge.runtime.sources import Block, Ended, Frame
from mmedge.runtime.sources.file import FileConfig, FileSource
from mmedge.runtime.sources.view import View
from tests.runtime.media import ramp, steady, write_media, write_wav

MS = 1_000_000


def play(source: FileSource, seconds: float = 5.0) -> list[Frame | Block]:
    """Everything until the end, or until the time is up."""
    samples: list[Frame | Block] = []
    until_s = time.monotonic() + seconds
    try:
        while time.monotonic() < until_s:
            sample = source.read()
            if sample is not None:
                # Never before its time, for sound: before its end.
                length_ns = len(sample.samples) * 62_500 if isinstance(sample, Block) else 0
                assert sample.time_ns + length_ns <= time.monotonic_ns()
                samples.append(sample)
    except Ended:
        pass
    return samples


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Ten pictures of 40 ms, and 400 ms of sound at 16 kHz."""
    return write_media(tmp_path / "a.mkv", steady(range(0, 200, 20)), ramp(6_400))


def test_a_file_is_played_in_real_time_with_both_tracks_on_one_clock(clip: Path) -> None:
    source = FileSource(FileConfig(path=clip))
    assert source.kinds == ("image", "sound")
    assert source.open() == "pictures and sound at 16000 Hz x 1"
    begin_s = time.monotonic()
    samples = play(source)
    assert 0.35 < time.monotonic() - begin_s < 0.8
    frames = [each for each in samples if isinstance(each, Frame)]
    blocks = [each for each in samples if isinstance(each, Block)]
    assert np.diff([frame.time_ns for frame in frames]).tolist() == 9 * [40 * MS]
    assert [int(frame.pixels[0, 0, 0]) for frame in frames] == list(range(0, 200, 20))
    assert {frame.order for frame in frames} == {"rgb"}
    assert np.concatenate([block.samples[:, 0] for block in blocks]).tolist() == list(ramp(6_400))
    assert frames[0].time_ns == blocks[0].time_ns
    starts = [0, *np.cumsum([len(block.samples) for block in blocks])[:-1].tolist()]
    assert [block.index for block in blocks] == starts
    assert {(block.run, block.rate_hz) for block in blocks} == {(0, 16_000)}
    with pytest.raises(Ended):
        source.read()


def test_a_loop_goes_on_in_time_and_begins_a_new_run_each_time(clip: Path) -> None:
    source = FileSource(FileConfig(path=clip, loop=True))
    source.open()
    samples = play(source, seconds=1.0)
    frames = [each for each in samples if isinstance(each, Frame)]
    assert len(frames) > 20
    assert np.diff([frame.time_ns for frame in frames]).tolist() == (len(frames) - 1) * [40 * MS]
    blocks = [each for each in samples if isinstance(each, Block)]
    assert {block.run for block in blocks} == {0, 1, 2}
    assert next(block.index for block in blocks if block.run == 1) == 0
    source.close()


def test_only_what_is_wanted_is_played_and_the_view_is_applied(clip: Path) -> None:
    source = FileSource(FileConfig(path=clip, sound=False, view=View(crop=(0, 0, 8, 4))))
    source.open()
    samples = play(source)
    assert source.kinds == ("image",)
    assert {each.pixels.shape for each in samples if isinstance(each, Frame)} == {(4, 8, 3)}
    assert len(samples) == 10


def test_a_hole_in_the_sound_begins_a_new_run(tmp_path: Path) -> None:
    path = write_media(
        tmp_path / "a.mkv", samples=ramp(6_400), sound_holes=[(1_000, 4_000)], codecs=("", "flac")
    )
    source = FileSource(FileConfig(path=path, picture=False))
    source.open()
    blocks = [each for each in play(source) if isinstance(each, Block)]
    assert [(each.run, each.index) for each in blocks if not each.index] == [(0, 0), (1, 0)]
    with open_sound(path) as file:
        offline_ns = [each.time_ns for each in file.blocks()]
    assert [each.time_ns - blocks[0].time_ns for each in blocks] == offline_ns
    assert offline_ns[1] > 250 * MS


def test_what_cannot_be_kept_up_with_is_played_later(
    clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = FileSource(FileConfig(path=clip))
    source.open()
    first = [source.read() for _ in range(4)]
    assert any(first)
    time.sleep(1.4)
    rest = play(source)
    assert len(caplog.records) == 1
    assert "plays on from here" in caplog.text
    late = [each for each in rest if isinstance(each, Frame)]
    assert time.monotonic_ns() - late[-1].time_ns < 500 * MS
    runs = [each.run for each in rest if isinstance(each, Block)]
    assert set(runs) == {1}


def test_a_missing_track_or_file_is_an_error_when_it_is_opened(tmp_path: Path) -> None:
    sound = write_wav(tmp_path / "a.wav", ramp(1_600), 16_000)
    with pytest.raises(SourceError, match="has no video"):
        FileSource(FileConfig(path=sound)).open()
    with pytest.raises(SourceError, match="No such file"):
        FileSource(FileConfig(path=tmp_path / "b.wav")).open()
    with pytest.raises(ConfigError, match="neither picture nor sound"):
        FileConfig(path=sound, picture=False, sound=False)
    with pytest.raises(SourceError, match="is not open"):
        FileSource(FileConfig(path=sound)).read()


def test_it_can_be_opened_again_and_closed_twice(clip: Path) -> None:
    source = FileSource(FileConfig(path=clip, sound=False))
    source.open()
    assert source.read() is not None
    source.close()
    source.close()
    source.open()
    assert len(play(source)) == 10
