"""The stream with both tracks, against a web server on loopback; RTSP is in tests/live."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.errors import ConfigError, SourceError
from mmedge.runtime.sources import Block, Frame
from mmedge.runtime.sources.av import Av, AvConfig
from tests.runtime.media import grey, ramp, steady, write_media
from tests.runtime.sources.http import MJPEG, mjpeg, serving

MS = 1_000_000
SECRET = "rtsp://admin:geheim@127.0.0.1:1/live"


def paced(path: Path, seconds: float) -> Iterator[bytes]:
    """A file's bytes spread over so many seconds, then nothing more for a while."""
    content = path.read_bytes()
    step = len(content) // 100 + 1
    for at in range(0, len(content), step):
        yield content[at : at + step]
        time.sleep(seconds / 100)
    time.sleep(2)


def read_some(source: Av, count: int) -> list[Frame | Block]:
    given = (source.read() for _ in itertools.count())
    return list(itertools.islice((each for each in given if each is not None), count))


def test_both_tracks_come_on_one_clock(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(-99, 99, 48_000).astype(np.int16)
    pictures = steady(range(75))
    path = write_media(
        tmp_path / "a.ts", pictures, noise, codecs=("mpeg4", "mp2"), pix_fmt="yuv420p"
    )
    with serving(lambda: paced(path, 3), "video/mp2t") as url:
        source = Av(AvConfig(url=url))
        assert source.kinds == ("image", "sound")
        assert source.open() == "64x48 mpeg4, mp2 16000 Hz x 1"
        samples = read_some(source, 40)
        source.close()
    frames = [each for each in samples if isinstance(each, Frame)]
    blocks = [each for each in samples if isinstance(each, Block)]
    assert len(frames) > 10
    assert len(blocks) > 10
    assert {frame.pixels.shape for frame in frames} == {(48, 64, 3)}
    # The network's jitter moves both tracks alike.
    for earlier, later in itertools.pairwise(frames):
        assert abs(later.time_ns - earlier.time_ns - 40 * MS) <= 40 * MS
    assert {block.run for block in blocks} == {0}
    assert [block.index for block in blocks] == [
        sum(len(each.samples) for each in blocks[:at]) for at in range(len(blocks))
    ]


def test_pictures_without_a_time_of_their_own_count_from_their_arrival() -> None:
    def body() -> Iterator[bytes]:
        return mjpeg(itertools.cycle([grey(100)]), rate_hz=10)

    with serving(body, MJPEG) as url:
        source = Av(AvConfig(url=url, sound=False, timeout_ms=3_000))
        assert source.open() == "64x48 mjpeg"
        for _ in range(8):
            (frame,) = read_some(source, 1)
            assert 0 <= time.monotonic_ns() - frame.time_ns < 60 * MS
        source.close()


def test_pictures_may_change_their_size_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def body() -> Iterator[bytes]:
        return mjpeg(iter([grey(50)] * 20 + [grey(200, 96, 128)] * 60), rate_hz=30)

    with serving(body, MJPEG) as url:
        source = Av(AvConfig(url=url, sound=False))
        source.open()
        shapes = [each.pixels.shape for each in read_some(source, 40) if isinstance(each, Frame)]
        source.close()
    assert [shape for shape, _ in itertools.groupby(shapes)] == [(48, 64, 3), (96, 128, 3)]
    (record,) = caplog.records
    assert record.getMessage().endswith("128x96 pixels from now on")


def test_a_wrong_password_is_said_and_not_shown() -> None:
    with serving(lambda: iter([b""]), MJPEG, login="admin:richtig") as url:
        wrong = url.replace("://", "://admin:geheim@")
        source = Av(AvConfig(url=wrong))
        with pytest.raises(SourceError, match="user or password are wrong") as caught:
            source.open()
    shown = f"{caught.value!r} {source.name} {caught.value.__cause__}"
    assert "geheim" not in shown
    assert caught.value.__suppress_context__


def test_nobody_there_is_an_error_that_shows_no_password() -> None:
    source = Av(AvConfig(url=SECRET, timeout_ms=500))
    with pytest.raises(SourceError) as caught:
        source.open()
    assert str(caught.value) == (
        "cannot open rtsp://127.0.0.1:1/live: nobody listens there; is it on, and the port right?"
    )


def test_a_server_that_says_nothing_is_given_up() -> None:
    def body() -> Iterator[bytes]:
        time.sleep(3)
        yield b""

    with serving(body, MJPEG) as url:
        source = Av(AvConfig(url=url, timeout_ms=300))
        begin_s = time.monotonic()
        with pytest.raises(SourceError, match="no answer in time"):
            source.open()
        assert time.monotonic() - begin_s < 2


@pytest.mark.parametrize("how", ["ends", "freezes"])
def test_a_stream_that_ends_or_freezes_is_an_error(how: str) -> None:
    def body() -> Iterator[bytes]:
        yield from mjpeg(iter(30 * [grey(50)]), rate_hz=30)
        time.sleep(0 if how == "ends" else 3)

    message = "has ended|broke off" if how == "ends" else "broke off: no answer in time"
    with serving(body, MJPEG) as url:
        source = Av(AvConfig(url=url, sound=False, timeout_ms=500))
        source.open()
        begin_s = time.monotonic()
        with pytest.raises(SourceError, match=message):
            read_some(source, 1_000)
        assert time.monotonic() - begin_s < 2.5
        source.close()
        source.close()
        with pytest.raises(SourceError, match="is not open"):
            source.read()


def test_a_missing_track_is_an_error_when_it_is_opened() -> None:
    def body() -> Iterator[bytes]:
        return mjpeg(itertools.cycle([grey(100)]), rate_hz=30)

    with serving(body, MJPEG) as url, pytest.raises(SourceError, match="has no sound"):
        Av(AvConfig(url=url)).open()


def test_a_recording_on_a_server_is_not_taken_for_something_live(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mkv", steady(range(50)), ramp(32_000))
    with (
        serving(lambda: iter([path.read_bytes()]), "video/x-matroska") as url,
        pytest.raises(SourceError, match="is a recording, not a live stream"),
    ):
        Av(AvConfig(url=url)).open()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"url": "clip.mkv"}, "'clip.mkv' is no stream's address"),
        ({"url": "file:///etc/passwd"}, "no stream's address"),
        ({"url": SECRET, "picture": False, "sound": False}, "neither picture nor sound"),
        ({"url": SECRET, "transport": "quic"}, "transport='quic'"),
        ({"url": SECRET, "delay_ms": -5}, "delay_ms=-5"),
        ({"url": SECRET, "timeout_ms": 5}, "timeout_ms=5"),
    ],
)
def test_a_wish_that_cannot_be_meant_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        AvConfig(**wrong)
    assert "geheim" not in str(caught.value)
