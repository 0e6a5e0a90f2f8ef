"""OpenCV's own FFmpeg against a camera's little web server; nothing is faked here."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from mmedge.errors import SourceError
from mmedge.runtime.sources import Frame
from mmedge.runtime.sources.camera import Camera, CameraConfig
from tests.runtime.media import grey
from tests.runtime.sources.http import MJPEG, Body, mjpeg, serving

MS = 1_000_000


def camera(url: str) -> Camera:
    return Camera(CameraConfig(device=url, timeout_ms=1_000))


def next_frame(source: Camera) -> Frame:
    return next(frame for frame in (source.read() for _ in itertools.count()) if frame)


def greys(*levels: int) -> Body:
    return lambda: mjpeg((grey(level) for level in itertools.cycle(levels)), rate_hz=30)


def test_frames_come_with_their_time_of_arrival() -> None:
    with serving(greys(200), MJPEG) as url:
        source = camera(url)
        assert source.open() == "64x48 MJPG"
        for _ in range(20):
            frame = next_frame(source)
            assert 0 <= time.monotonic_ns() - frame.time_ns < 50 * MS
            assert abs(int(frame.pixels[5, 5, 0]) - 200) < 4
        source.close()


def test_a_stream_that_changes_its_size_goes_on_in_the_size_it_had_first() -> None:
    def body() -> Iterator[bytes]:
        return mjpeg(iter([grey(50)] * 10 + [grey(200, 96, 128)] * 60), rate_hz=30)

    with serving(body, MJPEG) as url:
        source = camera(url)
        source.open()
        frames = [next_frame(source) for _ in range(30)]
        source.close()
    assert {frame.pixels.shape for frame in frames} == {(48, 64, 3)}


@pytest.mark.parametrize(
    ("pause_s", "message"), [(0, "gives no more pictures"), (4, "given no picture for 1 s")]
)
def test_a_stream_that_ends_or_freezes_is_an_error(pause_s: float, message: str) -> None:
    def body() -> Iterator[bytes]:
        yield from mjpeg(iter([grey(50)] * 20), rate_hz=30)
        time.sleep(pause_s)

    with serving(body, MJPEG) as url:
        source = camera(url)
        source.open()
        begin_s = time.monotonic()
        with pytest.raises(SourceError, match=message):  # noqa: PT012 - at which, it knows
            for _ in range(100):
                source.read()
        assert time.monotonic() - begin_s < 2.5
        begin_s = time.monotonic()
        source.close()
        assert time.monotonic() - begin_s < 1


def test_a_wrong_password_is_refused_and_shown_nowhere(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with serving(greys(10), MJPEG, login="admin:richtig") as url:
        wrong = url.replace("://", "://admin:geheim@")
        with pytest.raises(SourceError, match="user or password are wrong") as caught:
            camera(wrong).open()
        right = camera(url.replace("://", "://admin:richtig@"))
        right.open()
        assert next_frame(right)
        right.close()
    out, err = capfd.readouterr()
    told = f"{caught.value!r}{out}{err}{caplog.text}{right.name}"
    assert "geheim" not in told
    assert "richtig" not in told
