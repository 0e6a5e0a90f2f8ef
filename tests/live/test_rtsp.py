"""RTSP from a real server: through OpenCV, and through PyAV with its sound."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mmedge.errors import SourceError
from mmedge.runtime.sources import Block, Frame
from mmedge.runtime.sources.av import Av, AvConfig
from mmedge.runtime.sources.camera import Camera, CameraConfig
from tests.live import rtsp
from tests.live.clock import seen_ns
from tests.live.rtsp import RtspServer
from tests.live.serving import Serving

pytestmark = pytest.mark.live

_log = logging.getLogger(__name__)

MS = 1_000_000
S = 1_000 * MS
LOGIN = "admin:richtig"

Opener = Callable[[str], Av | Camera]
OPENERS: dict[str, Opener] = {
    "opencv": lambda url: Camera(CameraConfig(device=url, timeout_ms=1_500)),
    "pyav": lambda url: Av(AvConfig(url=url, timeout_ms=1_500)),
}
PASSWORD = "user or password are wrong"


@pytest.fixture(scope="module", autouse=True)
def _what_it_needs() -> None:
    if rtsp.missing():
        pytest.skip(rtsp.missing())


@pytest.fixture(scope="module")
def server(_what_it_needs: None) -> Iterator[RtspServer]:
    with RtspServer(login=LOGIN) as running:
        yield running


@pytest.fixture(params=OPENERS)
def opener(request: pytest.FixtureRequest) -> Opener:
    return OPENERS[request.param]


def frames(source: Av | Camera, count: int) -> list[Frame]:
    given = (source.read() for _ in itertools.count())
    return list(itertools.islice((each for each in given if isinstance(each, Frame)), count))


def open_with_picture(source: Av | Camera) -> None:
    """Open it, as often as it takes: now and then GStreamer's server gives a client no picture."""
    assert any(gives_picture(source) for _ in range(4))


def gives_picture(source: Av | Camera) -> bool:
    try:
        source.open()
        return bool(frames(source, 1))
    except SourceError:
        source.close()
        return False


def read_until_error(source: Av | Camera, limit_s: float = 10.0) -> float:
    """Seconds until it says that the stream has gone."""
    begin_s = time.monotonic()
    with pytest.raises(SourceError):  # noqa: PT012 - which read it is, the network knows
        while time.monotonic() - begin_s < limit_s:
            source.read()
    return time.monotonic() - begin_s


def onsets_ns(blocks: list[Block]) -> list[int]:
    """When the tones began, by the blocks' capture times."""
    found: list[int] = []
    for block in blocks:
        loud = np.flatnonzero(np.abs(block.samples[:, 0].astype(int)) > 1_500)
        if len(loud):
            at_ns = block.time_ns + int(loud[0]) * S // block.rate_hz
            if not found or at_ns - found[-1] > S // 2:
                found.append(at_ns)
    return found[1:]  # the first tone may have been cut off


def test_picture_and_sound_of_one_stream_are_aligned_to_two_milliseconds(
    server: RtspServer,
) -> None:
    source = Av(AvConfig(url=server.url()))
    open_with_picture(source)
    frame_errors, blocks, until_s = [], [], time.monotonic() + 6
    while time.monotonic() < until_s:
        sample = source.read()
        if isinstance(sample, Frame):
            frame_errors.append(sample.time_ns - seen_ns(sample.pixels))
        elif isinstance(sample, Block):
            blocks.append(sample)
    source.close()
    assert len(frame_errors) > 120
    assert len({block.run for block in blocks}) == 1
    assert sum(len(block.samples) for block in blocks) > 4.5 * 48_000
    picture_ns = float(np.median(frame_errors))
    sound_ns = float(np.median([(at_ns + S // 2) % S - S // 2 for at_ns in onsets_ns(blocks)]))
    _log.info("capture %.2f ms late", picture_ns / MS)
    _log.info("sound against picture %.2f ms", (sound_ns - picture_ns) / MS)
    # What nothing tells, the way from there to here, is all that it errs by.
    assert 0 <= picture_ns < 100 * MS
    assert np.percentile(frame_errors, 95) - np.percentile(frame_errors, 5) < 10 * MS
    assert abs(sound_ns - picture_ns) <= 2 * MS


def test_frames_are_fresh_from_the_first_one_on(server: RtspServer, opener: Opener) -> None:
    source = opener(server.url())
    open_with_picture(source)
    ages_ns = []
    for _ in range(30):
        (frame,) = frames(source, 1)
        ages_ns.append(time.monotonic_ns() - seen_ns(frame.pixels))
    source.close()
    assert max(ages_ns[:3]) < 400 * MS  # a second, with FFmpeg's own options
    assert np.median(ages_ns) < 95 * MS  # a picture more, with several threads


def test_a_wrong_password_is_refused_at_once_and_shown_nowhere(
    server: RtspServer, opener: Opener, capfd: pytest.CaptureFixture[str]
) -> None:
    source = opener(server.url("admin:geheim"))
    begin_s = time.monotonic()
    with pytest.raises(SourceError, match=PASSWORD) as caught:
        source.open()
    assert time.monotonic() - begin_s < 2
    out, err = capfd.readouterr()
    assert "geheim" not in f"{caught.value!r}{caught.value.__cause__!r}{source.name}{out}{err}"


def test_a_server_that_is_killed_is_missed_at_once_and_works_again(opener: Opener) -> None:
    with RtspServer() as server:
        source = opener(server.url())
        open_with_picture(source)
        server.close()
        assert read_until_error(source) < 1
        source.close()
        with pytest.raises(SourceError, match="cannot open"):
            source.open()
        server.start()
        open_with_picture(source)
        assert abs(time.monotonic_ns() - frames(source, 5)[-1].time_ns) < S
        source.close()


def test_a_server_that_freezes_is_missed_in_two_seconds_and_works_again(opener: Opener) -> None:
    with RtspServer() as server:
        source = opener(server.url())
        open_with_picture(source)
        server.freeze()
        assert read_until_error(source) < 2
        begin_s = time.monotonic()
        source.close()
        assert time.monotonic() - begin_s < 1
        server.thaw()
        open_with_picture(source)
        assert abs(time.monotonic_ns() - frames(source, 5)[-1].time_ns) < S
        source.close()


def test_opening_and_closing_leaves_nothing_behind(server: RtspServer, opener: Opener) -> None:
    def held() -> tuple[int, int]:
        fds, tasks = (len(list(Path("/proc/self", of).iterdir())) for of in ("fd", "task"))
        return fds, tasks

    def once() -> None:
        source = opener(server.url())
        open_with_picture(source)
        source.close()

    once()
    before, threads = held(), threading.active_count()
    for _ in range(3):
        once()
    assert held() == before
    assert threading.active_count() == threads


def test_one_stream_feeds_camera_and_microphone_of_a_running_serve(server: RtspServer) -> None:
    address = server.url()
    with Serving("--stream", address, environment=os.environ, prefix=()) as serving:
        rows = [serving.until_present("camera", "mic") for _ in range(20)]
        assert serving.end() == 0
    assert all(row["aligned"] for row in rows)
    assert "richtig" not in serving.said + "".join(serving.lines)
