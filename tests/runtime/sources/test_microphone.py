"""Microphones against a fake PortAudio, in real processes; the real one is in `tests/live`."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.errors import ConfigError, MissingDependencyError, SourceError
from mmedge.runtime.samples import Block
from mmedge.runtime.sources import microphone
from mmedge.runtime.sources.microphone import Microphone, MicrophoneConfig
from mmedge.runtime.sources.microphones import MicrophoneInfo, list_microphones
from mmedge.runtime.windows import rate_watch

FAKE = Path(__file__).parent / "fake_portaudio"
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def fake_portaudio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FAKE))
    monkeypatch.setenv("PATH", "")  # no sound server is asked


def record(mic: Microphone, count: int, within_s: float = 10.0) -> list[Block]:
    """So many blocks; fewer if they do not come in time."""
    blocks: list[Block] = []
    deadline = time.monotonic() + within_s
    while len(blocks) < count and time.monotonic() < deadline:
        block = mic.read()
        if block is not None:
            blocks.append(block)
    return blocks


def opened(**config: Any) -> tuple[Microphone, str]:
    mic = Microphone(MicrophoneConfig(**config))
    return mic, mic.open()


def refused(**config: Any) -> str:
    with pytest.raises(SourceError) as error:
        opened(**config)
    return str(error.value)


def test_blocks_come_without_a_gap_as_the_device_gave_them() -> None:
    mic, granted = opened(channels=(1, 0), rate_hz=16_000, block_ms=10)
    before_ns = time.monotonic_ns()
    blocks = record(mic, 30)
    mic.close()
    assert granted == "Steady Mic at 16000 Hz, channel 1, 0 of 2"
    assert {block.samples.shape for block in blocks} == {(160, 2)}
    assert [block.index for block in blocks] == [160 * i for i in range(30)]
    assert {(block.rate_hz, block.run) for block in blocks} == {(16_000, 0)}
    samples = np.concatenate([block.samples for block in blocks])
    first = 1600  # a tenth of a second settles
    np.testing.assert_array_equal(samples[:, 0], first + 1 + np.arange(4800))
    np.testing.assert_array_equal(samples[:, 1], first + np.arange(4800))
    steps = np.diff([block.time_ns for block in blocks])
    assert np.abs(steps - 10_000_000).max() < 100_000
    assert 0 < blocks[0].time_ns - before_ns + 1_000_000 < 500_000_000


def test_a_folder_on_the_path_shadows_nothing_of_the_standard_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As OpenCV's own folder does, which is on the path while another thread imports it.
    (tmp_path / "typing.py").write_text("raise SystemError", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    mic, granted = opened()
    mic.close()
    assert granted.startswith("Steady Mic at ")


def test_a_device_that_refuses_the_wish_is_opened_at_its_own_rate() -> None:
    mic, granted = opened(wish_hz=22_050)
    (block,) = record(mic, 1)
    mic.close()
    assert granted == "Steady Mic at 48000 Hz, channel 0 of 2"
    assert (block.rate_hz, block.samples.shape) == (48_000, (960, 1))


def test_a_wish_that_is_granted_is_used() -> None:
    mic, granted = opened(wish_hz=16_000)
    mic.close()
    assert granted == "Steady Mic at 16000 Hz, channel 0 of 2"


def test_a_rate_that_is_demanded_and_refused_is_an_error_that_says_what_would_do() -> None:
    assert refused(rate_hz=22_050) == (
        "microphone default: it refuses 22050 Hz; it opens 16000, 48000"
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"device": "Nobody"}, "there is no such device; there are: 0: Steady Mic, 1: Mute Mic"),
        ({"device": 70}, "there is no such device; there are: 0: Steady Mic"),
        ({"device": "mic"}, "several are called so: 0: Steady Mic, 1: Mute Mic"),
        ({"device": "2"}, "microphone 2: it is busy"),
        ({"channels": (2,)}, "there is no channel 2; it has 2, counted from 0"),
        ({"device": "pulse:mic.monitor"}, "there is no such device"),
    ],
)
def test_what_cannot_be_opened_says_why(config: dict[str, Any], message: str) -> None:
    assert message in refused(**config)


def test_a_device_is_found_by_part_of_its_name_in_any_case() -> None:
    mic, granted = opened(device="steady")
    mic.close()
    assert granted.startswith("Steady Mic at")


def test_a_driver_that_hangs_at_opening_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, "OPENING_S", 1.0)
    begin_s = time.monotonic()
    assert "no answer within 1 s of opening it" in refused(device="stuck")
    assert time.monotonic() - begin_s < 3


def test_a_mute_device_gives_nothing_and_closes_at_once() -> None:
    mic, _ = opened(device="mute")
    assert [mic.read() for _ in range(3)] == [None] * 3
    begin_s = time.monotonic()
    mic.close()
    mic.close()
    assert time.monotonic() - begin_s < 0.5


@pytest.mark.parametrize(
    ("device", "message"),
    [("dying", r"has ended unexpectedly \(exit code \d+\)"), ("ending", "the device is gone")],
)
def test_a_device_that_goes_is_an_error_and_can_be_opened_again(device: str, message: str) -> None:
    mic, _ = opened(device=device)
    with pytest.raises(SourceError, match=message):
        record(mic, 100)
    mic.open()
    (block,) = record(mic, 1)
    mic.close()
    assert (block.run, block.index) == (1, 0)


def test_lost_samples_that_nobody_flags_begin_a_new_run(caplog: pytest.LogCaptureFixture) -> None:
    mic, _ = opened(device="lossy", rate_hz=16_000)
    with caplog.at_level(logging.WARNING):
        blocks = record(mic, 40)
    mic.close()
    runs = [block.run for block in blocks]
    change = runs.index(1)
    assert runs == [0] * 20 + [1] * 20
    assert blocks[change].index == 0
    gap_ms = (blocks[change].time_ns - blocks[change - 1].time_ns) / 1e6
    assert gap_ms == pytest.approx(120, abs=3)
    assert caplog.messages == ["microphone lossy: 100 ms of sound are missing"]


def test_a_device_that_gives_half_of_what_it_promised_is_said_to(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rate_watch, "STRETCH_NS", 500_000_000)
    mic, granted = opened(device="slow", rate_hz=16_000)
    with caplog.at_level(logging.WARNING):
        blocks = record(mic, 40)
    mic.close()
    assert granted.startswith("Slow Mic at 16000 Hz")
    assert caplog.messages[-1] == "microphone slow: it gives 8000 Hz instead of 16000"
    assert [block.index for block in blocks[-20:]] == [
        blocks[-20].index + 320 * i for i in range(20)
    ]
    assert np.diff([block.time_ns for block in blocks[-20:]]) == pytest.approx(40e6, abs=1e5)


def test_a_parent_that_does_not_read_loses_the_oldest_and_knows_it() -> None:
    mic, _ = opened(channels=(0, 1), rate_hz=48_000)
    record(mic, 5)
    time.sleep(2.5)  # a pipe holds 0.3 s of this, the queue one second
    blocks = record(mic, 70)
    mic.close()
    assert {block.run for block in blocks} == {0, 1}
    late_ms = (time.monotonic_ns() - blocks[-1].time_ns) / 1e6
    ends = [block.time_ns for block in blocks if block.run == 0]
    begins = [block.time_ns for block in blocks if block.run == 1]
    assert 500e6 < begins[0] - ends[-1] < 2500e6
    assert late_ms < 1500


def test_the_process_outlives_ctrl_c_and_ends_with_a_parent_that_is_killed() -> None:
    script = (
        "import sys, time; from mmedge.runtime.sources.microphone import Microphone\n"
        f"sys.path.insert(0, {str(FAKE)!r}); mic = Microphone(); mic.open()\n"
        "print(mic._process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(child, signal.SIGINT)
    time.sleep(0.2)
    assert running(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while running(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not running(child)


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_missing_package_or_library_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "sounddevice.py"
    monkeypatch.syspath_prepend(str(tmp_path))
    fake.write_text("raise OSError('PortAudio library not found')", encoding="ascii")
    with pytest.raises(MissingDependencyError, match="sudo apt-get install libportaudio2"):
        Microphone().open()
    fake.write_text("raise ModuleNotFoundError('no', name='sounddevice')", encoding="ascii")
    with pytest.raises(MissingDependencyError, match=r"pip install 'mmedge\[live\]'"):
        list_microphones()


def test_microphones_are_listed_with_the_rates_that_they_open() -> None:
    listed = list_microphones()
    assert [each.name for each in listed] == [
        "Steady Mic",
        "Mute Mic",
        "Busy Mic",
        "Stuck Mic",
        "Dying Mic",
        "Lossy Mic",
        "Ending Mic",
        "Slow Mic",
    ]
    assert listed[0] == MicrophoneInfo(
        index=0,
        name="Steady Mic",
        host_api="Fake API",
        channels=2,
        default_rate_hz=48_000,
        rates_hz=(16_000, 48_000),
        default=True,
    )


@pytest.mark.parametrize(
    "config",
    [
        {"device": ""},
        {"device": "pulse:"},
        {"channels": ()},
        {"channels": (0, 0)},
        {"channels": (-1,)},
        {"rate_hz": 0},
        {"block_ms": 0},
    ],
)
def test_what_cannot_be_meant_is_refused_when_the_configuration_is_made(
    config: dict[str, Any],
) -> None:
    with pytest.raises(ConfigError, match=next(iter(config))):
        MicrophoneConfig(**config)


def test_reading_what_is_not_open_is_an_error() -> None:
    with pytest.raises(SourceError, match="it is not open"):
        Microphone().read()
