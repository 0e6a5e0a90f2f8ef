from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mmedge.errors import ConfigError
from mmedge.runtime.sinks.jsonl import JsonLines, JsonLinesConfig
from tests.runtime.sinks.ticks import HandClock, began, make_status, make_tick

ROOT = Path(__file__).resolve().parents[3]
posix = pytest.mark.skipif(sys.platform == "win32", reason="kills and limits of POSIX")


def numbers(*files: Path) -> list[int]:
    """Every line must be JSON; the numbers of the predictions in them."""
    lines = [line for file in files for line in file.read_text("utf-8").splitlines()]
    return [json.loads(line)["number"] for line in lines]


def write(config: JsonLinesConfig, count: int) -> None:
    sink = JsonLines(config)
    for number in range(count):
        sink.emit(make_tick(number))
    sink.close()


def test_a_line_is_the_prediction(tmp_path: Path) -> None:
    target = tmp_path / "ticks.jsonl"
    write(JsonLinesConfig(target=target), 1)
    told = json.loads(target.read_text("utf-8"))
    assert told["utc"] == "2026-11-25T00:00:00.000Z"
    assert told["tasks"]["digit"]["label"] == "seven"
    assert told["absent"] == {"hint": "no device"}


def test_events_alone_are_a_line_each(tmp_path: Path) -> None:
    sink = JsonLines(JsonLinesConfig(target=tmp_path / "events.jsonl", what="events"))
    sink.emit(make_tick(0))
    sink.emit(make_tick(4, events=(began("seven", time_ns=7), began("six", time_ns=7))))
    sink.close()
    lines = (tmp_path / "events.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[0]) == {
        "utc": "2026-11-25T00:00:01.000Z",
        "number": 4,
        "bundle": "0123456789ab",
        "task": "digit",
        "label": "seven",
        "what": "began",
        "time_ns": 7,
        "score": 0.75,
    }
    assert [json.loads(line)["label"] for line in lines] == ["seven", "six"]


def test_files_are_rotated_and_together_never_larger_than_agreed(tmp_path: Path) -> None:
    target = tmp_path / "ticks.jsonl"
    sink = JsonLines(JsonLinesConfig(target=target, max_bytes=4_096, files=3))
    for number in range(40):
        sink.emit(make_tick(number))
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 3 * 4_096
    sink.close()
    files = [tmp_path / name for name in ("ticks.jsonl.2", "ticks.jsonl.1", "ticks.jsonl")]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    kept = numbers(*files)
    assert kept == list(range(kept[0], 40))
    assert 10 < len(kept) < 40


def test_one_file_alone_is_begun_anew_when_full(tmp_path: Path) -> None:
    write(JsonLinesConfig(target=tmp_path / "t.jsonl", max_bytes=4_096, files=1), 20)
    assert [file.name for file in tmp_path.iterdir()] == ["t.jsonl"]
    assert numbers(tmp_path / "t.jsonl")[-1] == 19


def test_files_beyond_a_lowered_number_go_at_the_next_rotation(tmp_path: Path) -> None:
    target = tmp_path / "t.jsonl"
    write(JsonLinesConfig(target=target, max_bytes=4_096, files=5), 40)
    assert len(list(tmp_path.iterdir())) == 5
    write(JsonLinesConfig(target=target, max_bytes=4_096, files=2), 20)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["t.jsonl", "t.jsonl.1"]


def test_a_restart_goes_on_in_the_same_file(tmp_path: Path) -> None:
    config = JsonLinesConfig(target=tmp_path / "t.jsonl")
    write(config, 2)
    write(config, 1)
    assert numbers(tmp_path / "t.jsonl") == [0, 1, 0]


@pytest.mark.parametrize("tail", ['{"number": 7, "half', '{"number"' + " " * 200_000])
def test_a_half_line_of_a_crash_is_cut_off_at_start(tmp_path: Path, tail: str) -> None:
    target = tmp_path / "t.jsonl"
    target.write_text('{"number": 6}\n' + tail, "utf-8")
    write(JsonLinesConfig(target=target), 1)
    assert numbers(target) == [6, 0]


def test_a_file_of_nothing_but_a_half_line_begins_anew(tmp_path: Path) -> None:
    target = tmp_path / "t.jsonl"
    target.write_text('{"number": 7, "half', "utf-8")
    write(JsonLinesConfig(target=target), 1)
    assert numbers(target) == [0]


def test_somebody_elses_file_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "thesis.txt"
    target.write_text("forty years of work, no line break", "utf-8")
    with pytest.raises(ConfigError, match="holds no lines of JSON"):
        JsonLines(JsonLinesConfig(target=target))
    assert target.read_text("utf-8") == "forty years of work, no line break"


@pytest.mark.parametrize(
    ("target", "told"),
    [("missing/t.jsonl", "No such file or directory"), (".", "Is a directory")],
)
def test_a_file_that_cannot_be_opened_is_told_at_start(
    tmp_path: Path, target: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        JsonLines(JsonLinesConfig(target=tmp_path / target))


@posix
def test_a_device_is_no_file_to_rotate() -> None:
    with pytest.raises(ConfigError, match=r"no ordinary file\. For stdout write '-'"):
        JsonLines(JsonLinesConfig(target="/dev/null"))


@posix
def test_two_writers_of_one_file_are_refused(tmp_path: Path) -> None:
    config = JsonLinesConfig(target=tmp_path / "t.jsonl")
    first = JsonLines(config)
    with pytest.raises(ConfigError, match="another process writes to"):
        JsonLines(config)
    first.close()
    JsonLines(config).close()


@posix
def test_a_file_that_was_moved_or_deleted_is_made_again(tmp_path: Path) -> None:
    target = tmp_path / "t.jsonl"
    sink = JsonLines(JsonLinesConfig(target=target))
    sink.emit(make_tick(0))
    target.rename(tmp_path / "aside")
    sink.emit(make_tick(1))
    target.unlink()
    sink.emit(make_tick(2))
    sink.close()
    assert (numbers(tmp_path / "aside"), numbers(target)) == ([0], [2])


def test_a_prediction_larger_than_a_file_is_refused_and_the_next_one_taken(tmp_path: Path) -> None:
    target = tmp_path / "t.jsonl"
    sink = JsonLines(JsonLinesConfig(target=target, max_bytes=4_096))
    with pytest.raises(OSError, match="do not fit into a file of 4096"):
        sink.emit(make_tick(0, absent={"hint": "x" * 5_000}))
    sink.emit(make_tick(1))
    sink.close()
    assert numbers(target) == [1]


@pytest.mark.parametrize("target", ["-", Path("-")])
def test_stdout_takes_lines_as_well(
    capsysbinary: pytest.CaptureFixture[bytes], target: Path | str
) -> None:
    write(JsonLinesConfig(target=target), 2)
    out, _ = capsysbinary.readouterr()
    assert [json.loads(line)["number"] for line in out.splitlines()] == [0, 1]


@pytest.mark.parametrize(
    "wrong", [{"what": "all"}, {"max_bytes": 100}, {"files": 0}, {"sync_ms": -1}]
)
def test_a_wrong_setting_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        JsonLinesConfig(target="t.jsonl", **wrong)  # type: ignore[arg-type]


@posix
def test_lines_reach_the_disk_in_time_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    clock = HandClock()
    target = tmp_path / "t.jsonl"
    sink = JsonLines(JsonLinesConfig(target=target, sync_ms=5_000), clock=clock)
    sink.emit(make_tick(0))
    clock.forward(4.9)
    sink.show(make_status())
    assert synced == []
    clock.forward(0.1)
    sink.show(make_status())
    one_line = target.stat().st_size
    assert synced == [one_line]
    clock.forward(9.0)
    sink.show(make_status())  # nothing new
    assert synced == [one_line]
    sink.emit(make_tick(1))
    sink.close()
    assert synced == [one_line, target.stat().st_size]


WRITER = """
import itertools, sys
from mmedge.runtime.sinks.jsonl import JsonLines, JsonLinesConfig
from tests.runtime.sinks.ticks import make_tick
sink = JsonLines(JsonLinesConfig(target=sys.argv[1], max_bytes=65_536, files=1000))
for number in itertools.count():
    sink.emit(make_tick(number))
    print(number, flush=True)  # acknowledged
"""


@posix
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    target = tmp_path / "t.jsonl"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(target)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) == 300:
                writer.send_signal(signal.SIGKILL)
                break
        rest = writer.stdout.read().split()
        acknowledged = int(rest[-1]) if rest else 300
    assert writer.returncode == -signal.SIGKILL
    write(JsonLinesConfig(target=target), 0)  # the next start repairs a half line, if any
    aside = sorted(tmp_path.glob("t.jsonl.*"), key=lambda file: -int(file.suffix[1:]))
    assert len(aside) >= 1
    written = numbers(*aside, target)
    assert written == list(range(len(written)))
    assert written[-1] >= acknowledged >= 300


FULL = """
import json, resource, sys
from mmedge.runtime.sinks.jsonl import JsonLines, JsonLinesConfig
from tests.runtime.sinks.ticks import make_tick
sink = JsonLines(JsonLinesConfig(target=sys.argv[1]))
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
taken, refused = [], []
for limit, numbers in ((3_000, range(10)), (hard, range(10, 12))):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    for number in numbers:
        try:
            sink.emit(make_tick(number))
            taken.append(number)
        except OSError:
            refused.append(number)
sink.close()
print(json.dumps([taken, refused]))
"""


@posix
def test_a_file_that_may_not_grow_is_never_torn_and_recovers(tmp_path: Path) -> None:
    target = tmp_path / "t.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(target)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    taken, refused = json.loads(done.stdout)
    assert numbers(target) == taken
    assert taken[-2:] == [10, 11]
    assert refused == list(range(taken[-3] + 1, 10))
    assert refused != []


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 64 KiB; only root can make one."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("no mount here")
        if done.returncode != 0:
            pytest.skip(f"cannot mount a small disk: {done.stderr.strip()}")
        yield Path(folder)
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_degrades_and_recovers_by_itself(small_disk: Path) -> None:
    target, ballast = small_disk / "t.jsonl", small_disk / "ballast"
    ballast.write_bytes(bytes(40_000))
    sink = JsonLines(JsonLinesConfig(target=target))
    taken, refused = [], set()
    for number in range(60):
        try:
            sink.emit(make_tick(number))
            taken.append(number)
        except OSError as exc:
            refused.add(exc.strerror)
        if number == 50:
            assert taken == list(range(len(taken)))
            ballast.unlink()
    sink.close()
    assert taken[-9:] == list(range(51, 60))
    assert refused == {"No space left on device"}
    assert len(taken) < 50
    assert numbers(target) == taken


def test_a_disk_that_is_full_at_start_is_waited_for(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(65_536))
    with suppress(OSError):  # names need room as well
        for count in range(1_000):
            (small_disk / f"empty{count}").touch()
    sink = JsonLines(JsonLinesConfig(target=small_disk / "t.jsonl"))
    with pytest.raises(OSError, match="No space left on device"):
        sink.emit(make_tick(0))
    for each in small_disk.glob("empty*"):
        each.unlink()
    (small_disk / "ballast").unlink()
    sink.emit(make_tick(1))
    sink.close()
    assert numbers(small_disk / "t.jsonl") == [1]
