from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.bundle import Bundle
from mmedge.errors import ConfigError
from mmedge.runtime.pipeline import recorder as recorder_module
from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.pipeline import Pipeline
from mmedge.runtime.pipeline.record_queue import RecordQueue
from mmedge.runtime.pipeline.recorder import RecordConfig, Recorder
from mmedge.runtime.recording import open_recording
from mmedge.runtime.recording.writer import LogWriter, Writer
from mmedge.runtime.samples import Block, Frame
from tests.fakes import linear_bundle
from tests.runtime.pipeline.fakes import wait_until
from tests.runtime.sinks.ticks import HandClock

ROOT = Path(__file__).resolve().parents[3]
SECOND = 1_000_000_000


def noise(index: int, clock: HandClock | None = None) -> Frame:
    pixels = np.random.default_rng(index).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    return Frame(time.monotonic_ns() if clock is None else clock(), pixels)


def recorder(
    folder: Path, bundle: Bundle, clock: Any = time.monotonic_ns, **changes: Any
) -> Recorder:
    config = RecordConfig(path=folder / "a.recording", **changes)
    made = Recorder(config, bundle, LiveConfig(), clock=clock)
    made.start()
    return made


def polled(made: Recorder, clock: HandClock) -> bool:
    """Look after it as the pipeline does, and tell whether its end has been written."""
    clock.forward(1)
    made.poll()
    path = made._config.path
    return bool(open_recording(path).header.ended)


def test_it_ends_by_itself_after_its_time_and_says_so(demo: Bundle, tmp_path: Path) -> None:
    clock = HandClock(5 * SECOND)
    made = recorder(tmp_path, demo, clock, max_s=3)
    made.sample("camera", noise(0, clock))
    wait_until(lambda: polled(made, clock))
    made.sample("camera", noise(1, clock))
    made.close()
    header = open_recording(tmp_path / "a.recording").header
    assert (header.complete, header.ended) == (True, "it has become 3 s long")
    assert header.tracks["camera"].samples == 1
    status = made.status()
    assert (status.name, status.taken, status.degraded) == (
        "recording",
        1,
        "it has become 3 s long",
    )


def test_it_ends_by_itself_at_its_size(demo: Bundle, tmp_path: Path) -> None:
    clock = HandClock(5 * SECOND)
    made = recorder(tmp_path, demo, clock, max_bytes=2_000_000)

    def ended() -> bool:
        made.sample("camera", noise(clock.now_ns % 1000, clock))
        time.sleep(0.02)
        return polled(made, clock)

    wait_until(ended, 20)
    made.close()
    header = open_recording(tmp_path / "a.recording").header
    assert header.complete
    assert header.ended == "it has reached 2000000 bytes"
    size = sum(file.stat().st_size for file in (tmp_path / "a.recording").iterdir())
    assert 2_000_000 <= size < 40_000_000


def test_what_cannot_be_kept_up_with_is_lost_and_counted(demo: Bundle, tmp_path: Path) -> None:
    made = recorder(tmp_path, demo, waiting_bytes=3 * 480 * 640 * 4)
    frames = [noise(0) for _ in range(200)]
    begin_s = time.monotonic()
    for frame in frames:
        made.sample("camera", frame)
    assert time.monotonic() - begin_s < 0.1  # nobody waits
    made.close(20)
    track = open_recording(tmp_path / "a.recording").header.tracks["camera"]
    assert track.samples + track.lost == 200
    assert track.lost > 150
    assert made.status().dropped == track.lost


def test_a_modality_that_only_a_later_bundle_has_is_not_kept(tmp_path: Path) -> None:
    made = recorder(tmp_path, linear_bundle(1))
    made.sample("bee", Block(made._clock(), np.zeros((4, 1), np.int16), 1000, 1, 0))
    made.close()
    assert open_recording(tmp_path / "a.recording").header.tracks == {}


def test_what_exists_or_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.recording").mkdir()
    with pytest.raises(ConfigError, match="exists already; choose another name"):
        RecordConfig(path=tmp_path / "a.recording")
    with pytest.raises(ConfigError, match=r"a recording's name ends in \.recording"):
        RecordConfig(path=tmp_path / "a")
    for name in ("max_bytes", "max_s", "waiting_bytes"):
        with pytest.raises(ConfigError, match=f"{name}=0 must be positive"):
            RecordConfig(path=tmp_path / "b.recording", **{name: 0})
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be made: Not a directory"):
        recorder(tmp_path / "file", linear_bundle(1))


def test_a_disk_that_is_full_at_the_start_is_said_and_closing_does_not_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(LogWriter):
        def __init__(self, folder: Path) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(recorder_module, "LogWriter", Full)
    bundle = linear_bundle(1)
    keep = Recorder(RecordConfig(path=tmp_path / "a.recording"), bundle, LiveConfig())
    with (
        pytest.raises(ConfigError, match="cannot be made: No space left on device"),
        Pipeline(bundle, recorder=keep),
    ):
        pass


def test_a_configuration_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    bundle = linear_bundle(1)
    keep = Recorder(RecordConfig(path=tmp_path / "a.recording"), bundle, LiveConfig())
    with pytest.raises(ConfigError, match="no modality 'fly'"):
        Pipeline(bundle, config=LiveConfig(fuse="fly"), recorder=keep)
    keep.close()
    assert list(tmp_path.iterdir()) == []


def test_samples_that_the_model_refuses_are_not_recorded(tmp_path: Path) -> None:
    bundle = linear_bundle(1)
    keep = Recorder(RecordConfig(path=tmp_path / "a.recording"), bundle, LiveConfig())
    with Pipeline(bundle, recorder=keep, predict=False) as pipeline:
        pipeline.push("ant", np.zeros(4, np.float32))
        with pytest.raises(ConfigError, match="takes 1 channel"):
            pipeline.push("ant", np.zeros((4, 2), np.float32))
    header = open_recording(tmp_path / "a.recording").header
    assert header.tracks["ant"].samples == 1
    assert header.tracks["ant"].parts[0].channels == 1


def test_a_writer_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    release = threading.Event()

    class Stuck(Writer):
        def write(self, sample: Any) -> bool:
            release.wait(20)
            return False

        def close(self) -> None:
            pass

    queue = RecordQueue(1_000)
    queue.start(Stuck(), lambda: None)
    queue.put("x", 1)
    begin_s = time.monotonic()
    queue.stop()
    queue.join(0.1)
    assert queue.alive
    assert time.monotonic() - begin_s < 1
    release.set()
    queue.join(2)
    assert not queue.alive


KILLED = """
import sys, time
from pathlib import Path
import numpy as np
from mmedge.bundle import open_bundle
from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.recorder import RecordConfig, Recorder
from mmedge.runtime.samples import Block, Frame
bundle = open_bundle("mmedge/demo/digits.mmedge")
recorder = Recorder(RecordConfig(path=Path(sys.argv[1])), bundle, LiveConfig())
recorder.start()
for index in range(100_000):
    pixels = np.random.default_rng(index).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    recorder.sample("camera", Frame(time.monotonic_ns(), pixels))
    sound = np.random.default_rng(index).integers(-9, 9, (480, 1), np.int16)
    recorder.sample("mic", Block(time.monotonic_ns(), sound, 48_000, 1, index * 480))
    print(index, flush=True)
    time.sleep(0.01)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills of POSIX")
def test_all_but_the_last_second_survives_kill_9(tmp_path: Path) -> None:
    target = tmp_path / "a.recording"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(target)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) == 200:
                writer.send_signal(signal.SIGKILL)
                break
        writer.stdout.read()
    recording = open_recording(target)
    assert not recording.header.complete
    pictures = list(recording.samples("camera"))
    assert len(pictures) >= 90  # 2 s at 100 Hz less one
    for index, frame in enumerate(pictures):
        expected = np.random.default_rng(index).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        assert isinstance(frame, Frame)
        assert np.array_equal(frame.pixels, expected)
    blocks = list(recording.samples("mic"))
    assert len(blocks) >= 75
    for index, block in enumerate(blocks):
        assert isinstance(block, Block)
        assert np.array_equal(
            block.samples, np.random.default_rng(index).integers(-9, 9, (480, 1), np.int16)
        )


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 2 MiB; only root can make one."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("no mount here")
        if done.returncode != 0:
            pytest.skip(f"cannot mount a small disk: {done.stderr.strip()}")
        yield Path(folder)
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_ends_the_recording_and_nothing_else(
    demo: Bundle, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep = Recorder(RecordConfig(path=small_disk / "a.recording"), demo, LiveConfig())
    with Pipeline(demo, recorder=keep) as pipeline:
        pushed = []

        def ended() -> bool:
            pushed.append(noise(len(pushed)))
            pipeline.push("camera", pushed[-1].pixels, pushed[-1].time_ns)
            time.sleep(0.02)
            return "No space left" in pipeline.status().sinks[-1].degraded

        wait_until(ended, 20)
        before = pipeline.status().ticks
        wait_until(lambda: ended() and pipeline.status().ticks > before + 3)
    assert [r.message for r in caplog.records if "No space left" in r.message] != []
    recording = open_recording(small_disk / "a.recording")
    assert not recording.header.complete
    found = list(recording.samples("camera"))
    assert 0 < len(found) < len(pushed)
    for frame, came in zip(found, pushed, strict=False):
        assert isinstance(frame, Frame)
        assert np.array_equal(frame.pixels, came.pixels)
    assert not list((small_disk / "a.recording").glob("*.part"))


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_file_that_may_not_grow_ends_the_recording(tmp_path: Path) -> None:
    script = """
import resource, sys, time, json
from pathlib import Path
import numpy as np
from mmedge.bundle import open_bundle
from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.recorder import RecordConfig, Recorder
from mmedge.runtime.samples import Frame
bundle = open_bundle("mmedge/demo/digits.mmedge")
recorder = Recorder(RecordConfig(path=Path(sys.argv[1])), bundle, LiveConfig())
recorder.start()
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
for index in range(200):
    pixels = np.random.default_rng(index).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    recorder.sample("camera", Frame(time.monotonic_ns(), pixels))
    time.sleep(0.01)
    recorder.poll()
recorder.close()
print(json.dumps(recorder.ended))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.recording")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == "it could not be written: File too large"
    found = list(open_recording(tmp_path / "a.recording").samples("camera"))
    assert len(found) > 2
