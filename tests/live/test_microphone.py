"""Microphones through PortAudio, from a real sound server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mmedge.errors import SourceError
from mmedge.runtime.sources import Block, microphone
from mmedge.runtime.sources.microphone import Microphone, MicrophoneConfig
from mmedge.runtime.sources.microphones import list_microphones
from tests.live.pulse import PulseServer, write_wav

pytestmark = pytest.mark.live

MS = 1_000_000
S = 1_000 * MS
ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def listening(**config: Any) -> Iterator[Microphone]:
    mic = Microphone(MicrophoneConfig(**config))
    mic.open()
    try:
        yield mic
    finally:
        mic.close()


def record(mic: Microphone, seconds: float) -> list[Block]:
    """What comes within so long."""
    blocks, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        block = mic.read()
        if block is not None:
            blocks.append(block)
    return blocks


def sound_of(blocks: list[Block]) -> npt.NDArray[np.float64]:
    return np.concatenate([block.samples[:, 0] for block in blocks]).astype(np.float64)


def delay_of(heard: npt.NDArray[np.float64], played: npt.NDArray[np.float64]) -> int:
    """At which sample of one the other begins."""
    size = len(heard) + len(played)
    spectrum = np.fft.rfft(heard, size) * np.fft.rfft(played, size).conj()
    return int(np.fft.irfft(spectrum, size)[: len(heard)].argmax())


def noise(seconds: float) -> npt.NDArray[np.int16]:
    """Noise below 3 kHz, which both 16 kHz and 48 kHz carry."""
    count = round(48_000 * seconds)
    spectrum = np.fft.rfft(np.random.default_rng(3).normal(0, 1, count))
    spectrum[np.fft.rfftfreq(count, 1 / 48_000) > 3_000] = 0
    return (np.fft.irfft(spectrum, count) * 12_000).astype(np.int16)


def test_what_is_played_is_heard_at_one_time_by_microphones_of_different_rates(
    sound_server: PulseServer, tmp_path: Path
) -> None:
    played = noise(2.0)
    write_wav(tmp_path / "noise.wav", played)
    with listening(rate_hz=48_000) as fine, listening(rate_hz=16_000, block_ms=32) as coarse:
        heard: dict[Microphone, list[Block]] = {}
        threads = [
            threading.Thread(target=lambda m=mic: heard.update({m: record(m, 4.0)}))
            for mic in (fine, coarse)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.4)
        sound_server.play(tmp_path / "noise.wav")
        for thread in threads:
            thread.join()
    begins_ns = []
    for mic, rate_hz in ((fine, 48_000), (coarse, 16_000)):
        step = 48_000 // rate_hz
        wanted = played[::step].astype(np.float64)
        sound = sound_of(heard[mic])
        begin = delay_of(sound, wanted)
        part = sound[begin : begin + len(wanted)]
        assert np.corrcoef(part, wanted)[0, 1] > 0.99
        block = next(
            b for b in heard[mic] if b.index + len(b.samples) > heard[mic][0].index + begin
        )
        offset = heard[mic][0].index + begin - block.index
        begins_ns.append(block.time_ns + offset * S // rate_hz)
    assert abs(begins_ns[0] - begins_ns[1]) < 1 * MS


def test_capture_times_are_steady_and_near_arrival(sound_server: PulseServer) -> None:
    ages_ms, blocks = [], []
    with listening(wish_hz=16_000) as mic:
        deadline = time.monotonic() + 12
        while time.monotonic() < deadline:
            block = mic.read()
            if block is None:
                continue
            blocks.append(block)
            end_ns = block.time_ns + len(block.samples) * S // block.rate_hz
            ages_ms.append((time.monotonic_ns() - end_ns) / MS)
    assert {block.run for block in blocks} == {0}
    assert [block.index for block in blocks] == [i * 320 for i in range(len(blocks))]
    times_ns = np.array([block.time_ns for block in blocks])
    indices = np.array([block.index for block in blocks])
    line = np.polyfit(indices, times_ns - times_ns[0], 1)
    assert np.abs(times_ns - times_ns[0] - np.polyval(line, indices)).max() < 0.5 * MS
    # A sink's monitor is given its sound up to one block before it sounds.
    assert -25 < np.median(ages_ms) < 10
    assert abs(blocks[-1].drift_ppm) < 50  # the server's clock is the host's


def test_a_server_that_is_killed_is_an_error_within_a_second_and_its_successor_is_heard(
    sound_server: PulseServer,
) -> None:
    mic = Microphone()
    assert mic.open() == "default (mic.monitor) at 44100 Hz, channel 0 of 1"
    assert record(mic, 0.3)
    sound_server.kill()
    begin_s = time.monotonic()
    silent_or_gone(mic, 1.0)
    assert time.monotonic() - begin_s < 1.2
    mic.close()
    with pytest.raises(SourceError, match="there is no such device; there are: none at all"):
        mic.open()
    sound_server.start()
    mic.open()
    blocks = record(mic, 0.5)
    mic.close()
    assert {block.run for block in blocks} == {1}


def silent_or_gone(mic: Microphone, seconds: float) -> None:
    """Read until it fails, or has given nothing for so long."""
    last_s = time.monotonic()
    try:
        while time.monotonic() - last_s < seconds:
            if mic.read() is not None:
                last_s = time.monotonic()
    except SourceError:
        return


def test_a_server_that_is_frozen_gives_nothing_and_closing_never_waits(
    sound_server: PulseServer,
) -> None:
    with listening() as mic:
        assert record(mic, 0.3)
        sound_server.freeze()
        record(mic, 0.3)  # what was on the way
        assert record(mic, 1.0) == []
        begin_s = time.monotonic()
        mic.close()
        assert time.monotonic() - begin_s < 0.5


def test_twenty_times_gone_and_back_leaves_nothing_behind(sound_server: PulseServer) -> None:
    mic = Microphone(MicrophoneConfig(wish_hz=16_000))
    mic.open()
    mic.close()
    before = footprint()
    for turn in range(20):
        mic.open()
        assert record(mic, 0.2)
        if turn % 5 == 4:
            sound_server.kill()
            silent_or_gone(mic, 1.0)
            sound_server.start()
        mic.close()
    assert footprint() == before


def footprint() -> tuple[int, int, int]:
    """Threads, open descriptors, and processes of this one's."""
    tasks = Path("/proc/self/task")
    children = [
        each for task in tasks.iterdir() for each in (task / "children").read_text().split()
    ]
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), len(children)


def test_killing_one_of_two_microphones_costs_the_other_no_sample(
    sound_server: PulseServer, tmp_path: Path
) -> None:
    ramp = (np.arange(48_000 * 5) % 65_536 - 32_768).astype(np.int16)
    write_wav(tmp_path / "ramp.wav", ramp)
    sound_server.play(tmp_path / "ramp.wav", "other", latency_ms=500)
    time.sleep(0.3)
    with (
        listening(device="pulse:mic.monitor", rate_hz=48_000) as first,
        listening(device="pulse:other.monitor", rate_hz=48_000) as second,
    ):
        assert record(first, 0.3)
        blocks = record(second, 0.5)
        assert first._process is not None
        os.kill(first._process.pid, signal.SIGKILL)
        with pytest.raises(SourceError, match="ended unexpectedly"):
            record(first, 1.0)
        first.close()
        first.open()
        blocks += record(second, 1.5)
        assert {block.run for block in record(first, 0.3)} == {1}
    assert {block.run for block in blocks} == {0}
    sound = sound_of(blocks).astype(np.int64)
    ramp_heard = sound[sound != 0]  # a player that starves on a busy machine puts zeros between
    assert len(ramp_heard) > 48_000
    assert set((np.diff(ramp_heard) % 65_536).tolist()) <= {1, 2}


def test_the_process_ends_with_a_parent_that_is_killed(sound_server: PulseServer) -> None:
    script = (
        "import time; from mmedge.runtime.sources.microphone import Microphone\n"
        "mic = Microphone(); mic.open(); print(mic._process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert [each["properties"]["application.process.id"] for each in recordings(sound_server)] == [
        str(child)
    ]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 3
    while recordings(sound_server) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert recordings(sound_server) == []


def recordings(server: PulseServer) -> list[dict[str, Any]]:
    return server.listed("source-outputs")


def test_a_stream_that_the_server_moves_to_another_microphone_is_opened_again(
    sound_server: PulseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(microphone, "SOURCE_EVERY_S", 0.2)
    with listening() as mic:
        assert record(mic, 0.5)
        (recording,) = recordings(sound_server)
        sound_server.move(recording["index"], "other.monitor")
        with pytest.raises(SourceError, match=r"moved it from mic\.monitor to other\.monitor"):
            record(mic, 2.0)


def test_what_there_is_can_be_listed_and_what_there_is_not_is_named(
    sound_server: PulseServer,
) -> None:
    listed = {each.name: each for each in list_microphones()}
    assert set(listed) == {"pulse", "default", "pulse:mic.monitor", "pulse:other.monitor"}
    assert listed["default"].default
    assert {16_000, 44_100, 48_000} <= set(listed["default"].rates_hz)
    assert listed["pulse:mic.monitor"].default_rate_hz == 48_000
    with pytest.raises(SourceError, match=r"there are: pulse:mic\.monitor, pulse:other\.monitor"):
        Microphone(MicrophoneConfig(device="pulse:nobody")).open()
    with pytest.raises(SourceError, match="it refuses 500000 Hz; it opens 8000, "):
        Microphone(MicrophoneConfig(rate_hz=500_000)).open()
