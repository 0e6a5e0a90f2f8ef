"""Sound and video files: exact samples, exact times."""

from __future__ import annotations

import logging
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from mmedge.errors import ResourceError, SourceError
from mmedge.runtime.clips import (
    open_sound,
    open_video,
    read_sound,
    sound,
)
from tests.runtime.media import grey, ramp, steady, write_media, write_wav

# --- sounds


def test_a_wav_is_its_samples_over_32768(tmp_path: Path) -> None:
    samples = np.stack([ramp(3000), -ramp(3000) // 2])
    pcm = read_sound(write_wav(tmp_path / "a.wav", samples, 8000))
    assert pcm.rate_hz == 8000
    assert pcm.samples.dtype == np.float32
    assert np.array_equal(pcm.samples, samples.astype(np.float32) / 32768)


def test_flac_in_matroska_is_exact(tmp_path: Path) -> None:
    pcm = read_sound(write_media(tmp_path / "a.mkv", steady([1] * 5), ramp(20_000)))
    assert np.array_equal(pcm.samples[0], ramp(20_000).astype(np.float32) / 32768)


@pytest.mark.parametrize(
    ("bytes_each", "raw", "expected"),
    [
        (1, b"\x00\x80\xff", [-1.0, 0.0, 127 / 128]),
        (3, b"\x00\x00\x80\x00\x00\x00\x00\x00\x40", [-1.0, 0.0, 0.5]),
        (4, b"\x00\x00\x00\x80\x00\x00\x00\x40", [-1.0, 0.5]),
    ],
)
def test_integers_of_any_width_have_their_own_full_scale(
    bytes_each: int, raw: bytes, expected: list[float], tmp_path: Path
) -> None:
    header = struct.pack("<HHIIHH", 1, 1, 8000, 8000 * bytes_each, bytes_each, 8 * bytes_each)
    body = b"WAVEfmt " + struct.pack("<I", 16) + header + b"data" + struct.pack("<I", len(raw))
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", len(body + raw)) + body + raw)
    assert read_sound(tmp_path / "a.wav").samples[0].tolist() == expected


@pytest.mark.parametrize(("codec", "ending"), [("libmp3lame", "mp3"), ("aac", "mp4")])
def test_lossy_sounds_keep_length_and_place(codec: str, ending: str, tmp_path: Path) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg cannot write {codec}")
    click = np.zeros(48_000, np.int16)
    click[24_000:24_100] = 20_000
    path = tmp_path / f"a.{ending}"
    write_media(path, samples=click, rate_hz=48_000, codecs=("ffv1", codec))
    pcm = read_sound(path)
    assert abs(pcm.samples.shape[1] - 48_000) < 2400
    assert abs(int(np.argmax(pcm.samples[0])) - 24_050) < 100


def test_a_hole_in_a_recording_is_silence_so_that_time_is_kept(tmp_path: Path) -> None:
    samples = np.full(20_000, 8192, np.int16)
    path = tmp_path / "a.mkv"
    write_media(path, samples=samples, codecs=("ffv1", "pcm_s16le"), sound_holes=[(5000, 10_000)])
    pcm = read_sound(path)
    assert pcm.samples.shape == (1, 20_000)
    assert pcm.samples[0, [4999, 5000, 9999, 10_000]].tolist() == [0.25, 0, 0, 0.25]
    with open_sound(path) as file:
        assert {(block.run, block.pcm.channels) for block in file.blocks()} == {(0, 1), (1, 1)}


def test_a_video_without_sound_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no sound"):
        read_sound(write_media(tmp_path / "a.mkv", steady([1, 2])))


def test_a_sound_has_no_video(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no video"):
        open_video(write_wav(tmp_path / "a.wav", ramp(1000), 8000))


def test_a_wav_without_a_sample_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"without a sample|cannot be opened"):
        read_sound(write_wav(tmp_path / "a.wav", ramp(0), 8000))


def test_more_than_an_hour_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_wav(tmp_path / "a.wav", ramp(16_001), 8000)
    monkeypatch.setattr(sound, "MAX_SOUND_S", 2)
    with pytest.raises(ResourceError, match=r"longer than 2 s.*-f segment"):
        read_sound(path)


def test_a_wav_that_is_cut_off_ends_early_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_wav(tmp_path / "a.wav", ramp(8000), 8000)
    assert read_sound(path).samples.shape == (1, 8000)
    assert caplog.text == ""
    path.write_bytes(path.read_bytes()[:-6000])
    assert read_sound(path).samples.shape == (1, 5000)
    assert "lacks 6000 of the bytes that its header promises: it may be cut off" in caplog.text


def test_a_title_that_is_no_utf_8_keeps_nobody_from_hearing(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", ramp(800), 8000)
    title = b"INFOINAM" + struct.pack("<I", 4) + b"\xff\xfe\xe9\0"
    content = path.read_bytes() + b"LIST" + struct.pack("<I", len(title)) + title
    path.write_bytes(content[:4] + struct.pack("<I", len(content) - 8) + content[8:])
    assert read_sound(path).samples.shape == (1, 800)


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xff", b"\0\0\0\0"])
def test_a_wav_that_came_through_a_pipe_is_not_called_cut_off(
    tmp_path: Path, length: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_wav(tmp_path / "a.wav", ramp(8000), 8000)
    content = path.read_bytes()
    path.write_bytes(content[:4] + length + content[8:])
    assert read_sound(path).samples.shape == (1, 8000)
    assert caplog.text == ""


def test_a_sound_that_is_damaged_is_refused(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.flac", samples=ramp(50_000))
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(SourceError, match=r"a.flac"):
        read_sound(path)


# --- videos


def test_a_lossless_video_gives_its_pixels_and_times(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    path = write_media(tmp_path / "a.mkv", [(0, grey(1)), (40, noise), (137, grey(3))], ramp(3200))
    with open_video(path) as video:
        assert video.has_sound
        frames = list(video.frames())
    assert [frame.time_ns for frame in frames] == [0, 40_000_000, 137_000_000]
    assert np.array_equal(frames[1].rgb, noise)
    assert frames[1].rgb is frames[1].rgb


def test_h264_in_mp4_is_close_to_its_pixels(tmp_path: Path) -> None:
    if "libx264" not in av.codecs_available:
        pytest.skip("this FFmpeg cannot write H.264")
    path = tmp_path / "a.mp4"
    write_media(path, steady(range(0, 250, 10)), codecs=("libx264", "aac"), pix_fmt="yuv420p")
    with open_video(path) as video:
        assert not video.has_sound
        seen = [(frame.time_ns, int(frame.rgb[20, 20, 1])) for frame in video.frames()]
    assert [time_ns for time_ns, _ in seen] == [index * 40_000_000 for index in range(25)]
    assert np.abs(np.array([level for _, level in seen]) - np.arange(0, 250, 10)).max() <= 3


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_a_phone_held_sideways_is_turned_upright(degrees: int, turns: int, tmp_path: Path) -> None:
    if not hasattr(av.video.stream.VideoStream, "set_display_rotation"):
        pytest.skip("this PyAV cannot write a rotation")
    picture = grey(0)
    picture[:24, :32] = 255
    path = tmp_path / "a.mp4"
    write_media(
        path,
        [(0, picture), (40, picture)],
        codecs=("libx264", "aac"),
        pix_fmt="yuv420p",
        rotation=degrees,
    )
    with open_video(path) as video:
        rgb = next(video.frames()).rgb
    assert rgb.shape == ((48, 64, 3) if turns == 2 else (64, 48, 3))
    assert np.abs(rgb.astype(int) - np.rot90(picture, turns)).mean() < 8


def test_a_video_that_is_cut_off_ends_early_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 48, 64, 3), dtype=np.uint8)
    path = write_media(tmp_path / "a.mkv", [(40 * i, rgb) for i, rgb in enumerate(noise)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with caplog.at_level(logging.WARNING), open_video(path) as video:
        assert 20 <= sum(1 for _ in video.frames()) <= 26
    assert "its header says 2.00 s: it may be cut off" in caplog.text


def test_an_mp4_without_its_index_is_refused(tmp_path: Path) -> None:
    path = write_media(
        tmp_path / "a.mp4", steady([1] * 25), codecs=("mpeg4", "aac"), pix_fmt="yuv420p"
    )
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(SourceError, match="cannot be opened"):
        open_video(path)


def test_a_codec_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mkv", steady([1, 2, 3]), ramp(3000))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"A_FLAC", b"A_FLOC").replace(b"FFV1", b"FVF1"))
    with pytest.raises(SourceError, match="codec that FFmpeg does not know"):
        read_sound(path)
    with pytest.raises(SourceError, match="codec that FFmpeg does not know"):
        open_video(path)


def test_a_wav_without_channels_is_refused(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", ramp(1000), 8000)
    content = bytearray(path.read_bytes())
    content[22] = 0
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.wav"):
        read_sound(path)
