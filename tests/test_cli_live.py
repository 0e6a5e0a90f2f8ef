"""serve, record and devices on the command line: messages, exit codes, and what they load."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmedge.runtime.sources.cameras import CameraInfo
from mmedge.runtime.sources.devices import Devices
from tests.conftest import DEMO
from tests.test_imports import HEAVY, ROOT

Run = Callable[..., tuple[int, str, str]]
CLIP = DEMO.parent / "clip.mkv"


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and no bundle by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMEDGE_BUNDLE", raising=False)


@pytest.mark.parametrize("command", ["serve", "record", "devices"])
def test_help_loads_nothing_heavy(command: str) -> None:
    code = f"""
import runpy, sys
sys.argv = ["mmedge", {command!r}, "--help"]
try:
    runpy.run_module("mmedge", run_name="__main__", alter_sys=True)
except SystemExit as exc:
    assert exc.code in (None, 0)
print("heavy:", *sorted(set(sys.modules) & set({(*HEAVY, "numpy")!r})), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == "heavy:\n"
    assert "Example:" in done.stdout


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["serve"], 2, "no source is named; for example: mmedge serve --camera 0"),
        (["serve", "none.mmedge", "--camera", "0"], 2, "there is no bundle at none.mmedge"),
        (["serve", "--camera", "door=0"], 2, "the model has no modality 'door'"),
        (["serve", "--camera", "0", "--camera", "1"], 2, "1: no image modality is left for it"),
        (["serve", "--camera", "0", "--crop", "a,b"], 2, "give left,top,width,height"),
        (["serve", "--camera", "0", "--rotate", "45"], 2, "rotate=45 degrees"),
        (["serve", "--camera", "0", "--http", "x"], 2, "give PORT or HOST:PORT"),
        (["serve", "--camera", "0", "--for", "0"], 2, "0 s (--for) must be positive"),
        (["serve", "--camera", "0", "--for", "-1"], 2, "-1 s (--for) must be positive"),
        (["serve", "--camera", "0", "--fuse", "fly"], 2, "no modality 'fly'"),
        (["serve", "--camera", "0", "--max-age-ms", "fly=5"], 2, "no modality 'fly'"),
        (
            ["serve", "--camera", "0", "--max-age-ms", "camera=nan"],
            2,
            "no number that can be meant",
        ),
        (["serve", "--camera", "0", "--max-rate-hz", "camera"], 2, "give NAME=NUMBER"),
        (["serve", "--camera", "0", "--max-rate-hz", "camera=1e999"], 2, "1e999 is no number"),
        (["serve", "--camera", "0", "--max-rate-hz", "camera=0"], 2, "must be positive"),
        (["serve", "--camera", "0", "--tolerance-ms", "-1"], 2, "tolerance_ms=-1 must be"),
        (["serve", "--camera", "0", "--begin", "0.2"], 2, "0 < end <= begin <= 1 is needed"),
        (["serve", "--camera", "0", "--threads", "-1"], 2, "threads=-1 must lie in 1..1024"),
        (["serve", "--camera", "0", "--backend", "none"], 2, "there is no backend 'none'"),
        (["serve", "--camera", "0", "--plan", "none"], 2, "none"),
        (["serve", "--camera", "0", "--downmix", "left"], 2, "neither 'mean' nor 'first'"),
        (["serve", "--camera", "0", "--record", "x"], 2, "a recording's name ends in .recording"),
        (["serve", "--camera", "0", "--only-events"], 2, "Give --json or --jsonl FILE"),
        (["serve", "--camera", "0", "--jsonl", "no/x.jsonl"], 2, "x.jsonl"),
        (["serve", "--camera", "0", "--metrics-file", "x"], 2, ".prom"),
        (["serve", "--mic", "0", "--mic-channels", "a"], 2, "give numbers from 0"),
        (["serve", "--mic", "0", "--text", "x", "--lines", "-"], 2, "has a source already"),
        (["serve", "--camera", "0", "--template", "a {}"], 2, "give some by --prompts"),
        (
            ["serve", "--recording", "a", "--replay", "as-run", "--prompts", "x"],
            2,
            "leave out --prompts",
        ),
        (["serve", "--recording", "no.recording"], 2, "there is no recording at no.recording"),
        (["serve", "--play", "no.mkv"], 5, "there is no file no.mkv to be played"),
        (["record", "-o", "a.recording"], 2, "no source is named"),
        (["record", "-o", "a", "--camera", "0"], 2, "a recording's name ends in .recording"),
        (["record", "-o", "a.recording", "--camera", "0", "--for", "0"], 2, "max_s=0.0 must be"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else None,
)
def test_what_cannot_be_meant_is_one_message_and_its_code(
    mmedge: Run, tmp_path: Path, options: list[str], code: int, told: str
) -> None:
    assert (result := mmedge(*options))[0] == code, result
    assert result[1] == ""
    assert told in result[2]
    assert "Traceback" not in result[2]
    assert list(tmp_path.glob("*.recording")) == []


def test_a_recording_that_exists_is_never_written_into(mmedge: Run, tmp_path: Path) -> None:
    (tmp_path / "a.recording").mkdir()
    for command in (["serve", "--record"], ["record", "-o"]):
        code, _, err = mmedge(*command, "a.recording", "--play", CLIP)
        assert code == 2
        assert "exists already; choose another name" in err
    assert list((tmp_path / "a.recording").iterdir()) == []


def test_a_camera_that_is_not_there_is_said_at_once_and_at_the_end(mmedge: Run) -> None:
    pytest.importorskip("cv2")
    # A process of its own: OpenCV writes past Python's streams.
    options = ["--camera", "77", "--backend", "cpu", "--for", "1.5", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "mmedge", "serve", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (5, "")
    bundle, first, last = done.stderr.splitlines()
    assert bundle.endswith("(the demo's, since no bundle is named and none is here)")
    assert first.startswith("mmedge: cannot open camera 77: ")
    assert first.endswith("(tried again until it is there)")
    assert last.startswith("mmedge: it ended because 1.5 s are over, and nothing came from any")


def test_serve_writes_one_line_of_json_per_prediction(mmedge: Run) -> None:
    code, out, err = mmedge("serve", "--play", CLIP, "--for", "1.5", "--json", "--text", "even")
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["number"] for line in lines] == list(range(len(lines)))
    assert lines[-1]["presence"] == {"camera": True, "mic": True, "hint": True}
    assert "even" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_a_reader_that_has_enough_ends_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mmedge", "serve", "--play", str(CLIP), "--loop", "--json"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as served:
        assert served.stdout is not None
        assert json.loads(served.stdout.readline())["number"] == 0
        served.stdout.close()
        assert served.wait(20) == 0


def test_record_says_what_it_kept_and_serve_predicts_it_again(mmedge: Run) -> None:
    code, out, err = mmedge("record", "-o", "a.recording", "--play", CLIP, "--for", "1.5")
    assert code == 0
    told = out.splitlines()
    assert told[-1] == "a.recording: it has become 1.5 s long"
    assert [line.split(":")[0] for line in told[:-1]] == ["camera", "mic"]
    assert "recording to a.recording for 1.5 s at most; Ctrl-C ends it" in err
    code, out, _ = mmedge("serve", "--recording", "a.recording", "--json")
    assert code == 0
    assert len(out.splitlines()) > 10
    code, _, err = mmedge("serve", "--recording", "a.recording", "--replay", "as-run", "--json")
    assert code == 5
    assert "--replay ideal does" in err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
@pytest.mark.parametrize("command", [["record", "-o", "a.recording"], ["serve", "--json"]])
def test_a_signal_ends_both_with_the_same_code_and_nothing_is_lost(
    tmp_path: Path, command: list[str], number: int, code: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "mmedge", *command, "--play", str(CLIP)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if command[0] == "serve":
            assert json.loads(process.stdout.readline())["number"] == 0
        else:
            process.stderr.readline()
            assert "Ctrl-C ends it" in process.stderr.readline()
            time.sleep(1)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == code, err
    if command[0] == "record":
        header = json.loads((tmp_path / "a.recording" / "recording.json").read_text())
        assert header["complete"] is True
        assert header["tracks"]["camera"]["samples"] > 3
        assert out.splitlines()[-1] == "a.recording: it was closed"


def test_a_damaged_recording_ends_with_3(mmedge: Run, tmp_path: Path) -> None:
    (tmp_path / "a.recording").mkdir()
    (tmp_path / "a.recording" / "recording.json").write_text("{}")
    code, _, err = mmedge("serve", "--recording", "a.recording")
    assert code == 3
    assert "is not the header of a recording" in err


FOUND = Devices(
    cameras=(CameraInfo(index=0, name="Cam", path="/dev/video0", ids=("usb-cam",), modes=()),),
    microphones=(),
    problems=("microphones need sounddevice",),
)


def test_devices_are_listed_as_they_are_named(mmedge: Run, monkeypatch: Any) -> None:
    monkeypatch.setattr("mmedge.runtime.sources.devices.list_devices", lambda: FOUND)
    code, out, err = mmedge("devices")
    assert code == 0
    assert "--camera 0  Cam  /dev/video0 usb-cam" in out.splitlines()
    assert "no microphone was found" in out.splitlines()
    assert "mmedge: microphones need sounddevice" in err.splitlines()
    code, out, _ = mmedge("devices", "--json")
    assert json.loads(out)["cameras"][0]["path"] == "/dev/video0"
