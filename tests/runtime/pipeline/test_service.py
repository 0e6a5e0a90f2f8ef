"""A service and a recording from their configurations: what they give, keep and refuse."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from mmedge.bundle import Bundle
from mmedge.errors import ConfigError, ResourceError, SourceError
from mmedge.runtime.pipeline.binding import Inputs
from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.outputs import Outputs
from mmedge.runtime.pipeline.recorder import RecordConfig
from mmedge.runtime.pipeline.service import ServeConfig, find_bundle, record, serve
from mmedge.runtime.recording import parse_header
from tests.conftest import DEMO
from tests.runtime.pipeline.fakes import wait_until

CLIP = str(DEMO.parent / "clip.mkv")


def trust(bundle: Bundle) -> None:
    pass


def test_a_bundle_is_found_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MMEDGE_BUNDLE", raising=False)
    assert find_bundle(Path("x.mmedge"), tmp_path, DEMO) == (Path("x.mmedge"), "")
    path, why = find_bundle(None, tmp_path, DEMO)
    assert (path, why.startswith("the demo's")) == (DEMO, True)
    (tmp_path / "file.mmedge").touch()  # no folder
    assert find_bundle(None, tmp_path, DEMO)[0] == DEMO
    (tmp_path / "a.mmedge").mkdir()
    assert find_bundle(None, tmp_path, DEMO) == (tmp_path / "a.mmedge", "the only bundle here")
    (tmp_path / "b.mmedge").mkdir()
    with pytest.raises(ConfigError, match=r"several bundles are here \(a\.mmedge, b\.mmedge\)"):
        find_bundle(None, tmp_path, DEMO)
    monkeypatch.setenv("MMEDGE_BUNDLE", "/opt/guard.mmedge")
    assert find_bundle(None, tmp_path, DEMO) == (
        Path("/opt/guard.mmedge"),
        "named by MMEDGE_BUNDLE",
    )


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({}, "no source is named"),
        ({"recording": Path("a"), "inputs": Inputs(cameras=("0",))}, "takes the place of all"),
        ({"recording": Path("a"), "text": "x"}, "takes the place of all sources"),
        ({"recording": Path("a"), "outputs": Outputs(show=True)}, "leave out --show"),
        ({"recording": Path("a"), "replay": "fast"}, "neither 'as-run' nor 'ideal'"),
        ({"text": "x", "for_s": 0}, r"0 s \(--for\) must be positive"),
        ({"text": "x", "for_s": float("nan")}, "must be positive"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        ServeConfig(**{"inputs": Inputs(), **wrong})


def test_a_file_is_served_recorded_and_replayed(tmp_path: Path, capsys: Any) -> None:
    folder, live = tmp_path / "a.recording", tmp_path / "live.jsonl"
    config = ServeConfig(
        inputs=Inputs(files=(CLIP,)),
        text="even",
        outputs=Outputs(jsonl=live, as_json=True, record=RecordConfig(path=folder)),
        for_s=2,
    )
    assert serve(DEMO, config, trust) == "2 s are over"
    lines = [json.loads(line) for line in live.read_text().splitlines()]
    assert len(lines) > 15
    assert capsys.readouterr().out == live.read_text()
    again = tmp_path / "again.jsonl"
    replay = ServeConfig(
        inputs=Inputs(),
        recording=folder,
        replay="as-run",
        outputs=Outputs(jsonl=again, as_json=True),
    )
    assert serve(DEMO, replay, trust) == "the recording has come to its end"
    for line, repeated in zip(lines, again.read_text().splitlines(), strict=True):
        told = json.loads(repeated)
        del line["latency_ms"], told["latency_ms"]
        assert told == line
    assert {line["presence"]["hint"] for line in lines[2:]} == {True}


def test_a_repetition_runs_what_ran_then(tmp_path: Path, counting: Any) -> None:
    folder = tmp_path / "a.recording"
    outputs = Outputs(as_json=True, record=RecordConfig(path=folder))
    files = Inputs(files=(CLIP,))
    serve(DEMO, ServeConfig(inputs=files, outputs=outputs, backend="counting", for_s=1), trust)
    counting.runs.clear()
    for replay, ran in (("ideal", False), ("as-run", True)):
        again = ServeConfig(
            inputs=Inputs(), recording=folder, replay=replay, outputs=Outputs(as_json=True)
        )
        serve(DEMO, again, trust)
        assert bool(counting.runs) == ran


def test_a_recording_that_ended_at_its_limit_repeats_the_decisions_up_to_there(
    tmp_path: Path,
) -> None:
    folder, live, again = (tmp_path / name for name in ("a.recording", "live.jsonl", "again.jsonl"))
    config = ServeConfig(
        inputs=Inputs(files=(CLIP,)),
        outputs=Outputs(jsonl=live, as_json=True, record=RecordConfig(path=folder, max_s=1.0)),
        for_s=2,
    )
    serve(DEMO, config, trust)
    header = parse_header(folder)
    assert (header.complete, header.ended) == (True, "it has become 1 s long")
    replay = ServeConfig(
        inputs=Inputs(),
        recording=folder,
        replay="as-run",
        outputs=Outputs(jsonl=again, as_json=True),
    )
    serve(DEMO, replay, trust)
    decided = [
        [{**json.loads(line), "latency_ms": None} for line in file.read_text().splitlines()]
        for file in (live, again)
    ]
    assert 5 < len(decided[1]) < len(decided[0])
    assert decided[0][: len(decided[1])] == decided[1]


def test_ideal_takes_the_recorded_configuration_unless_another_is_given(tmp_path: Path) -> None:
    folder, again = tmp_path / "a.recording", tmp_path / "again.jsonl"
    config = ServeConfig(
        inputs=Inputs(files=(CLIP,)),
        live=LiveConfig(fuse="mic"),
        outputs=Outputs(record=RecordConfig(path=folder), as_json=True),
        for_s=1.5,
    )
    serve(DEMO, config, trust)
    count = {}
    for name, live in (("recorded", LiveConfig()), ("given", LiveConfig(fuse="camera"))):
        replay = ServeConfig(
            inputs=Inputs(), recording=folder, live=live, outputs=Outputs(jsonl=again)
        )
        serve(DEMO, replay, trust)
        lines = [json.loads(line) for line in again.read_text().splitlines()]
        again.unlink()
        count[name] = len(lines)
    # The clip has 12 pictures a second, and the microphone a window every 250 ms.
    assert 3 <= count["recorded"] <= 9
    assert count["given"] >= 12


def test_recording_alone_predicts_nothing_and_has_nothing_to_repeat(tmp_path: Path) -> None:
    folder = tmp_path / "a.recording"
    begun = []
    config = RecordConfig(path=folder, max_s=1)
    header, why = record(DEMO, Inputs(files=(CLIP,)), config, lambda: begun.append(1))
    assert (header.complete, header.ended, begun) == (True, why, [1])
    assert why == "it has become 1 s long"
    assert set(header.tracks) == {"camera", "mic"}
    assert header.tracks["camera"].samples >= 8
    replay = ServeConfig(
        inputs=Inputs(), recording=folder, replay="as-run", outputs=Outputs(as_json=True)
    )
    with pytest.raises(SourceError, match="'mmedge record' makes none, but --replay ideal does"):
        serve(DEMO, replay, trust)


def test_when_nothing_came_that_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "a.recording"
    inputs = Inputs(streams=("rtsp://u:secret@127.0.0.1:9/x",))
    with pytest.raises(SourceError, match="nothing was recorded: nothing came") as caught:
        record(DEMO, inputs, RecordConfig(path=folder, max_s=1))
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    config = ServeConfig(inputs=inputs, for_s=0.5, outputs=Outputs(as_json=True))
    with pytest.raises(SourceError, match=r"it ended because 0\.5 s are over, and nothing came"):
        serve(DEMO, config, trust)


def test_a_full_disk_ends_a_recording_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmedge.runtime.recording.writer import PicturesWriter

    def full(self: object, sample: object) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PicturesWriter, "write", full)
    with pytest.raises(ResourceError, match="No space left on device; what it holds can be read"):
        record(DEMO, Inputs(files=(CLIP,)), RecordConfig(path=tmp_path / "a.recording", max_s=9))


@pytest.mark.parametrize(
    "wrong",
    [
        {"live": LiveConfig(fuse="fly")},
        {"backend": "none"},
        {"prompts": ("a cat",)},
        {"outputs": Outputs(as_json=True, http="1.2.3:80")},
        {"text": "x", "inputs": Inputs(texts=("-",))},
    ],
    ids=["fuse", "backend", "prompts", "http", "text"],
)
def test_what_cannot_begin_leaves_nothing_behind(tmp_path: Path, wrong: dict[str, Any]) -> None:
    threads = threading.active_count()
    outputs = wrong.get("outputs") or Outputs(
        as_json=True,
        jsonl=tmp_path / "x.jsonl",
        record=RecordConfig(path=tmp_path / "a.recording"),
    )
    config = ServeConfig(**{"inputs": Inputs(files=(CLIP,)), **wrong, "outputs": outputs})
    with pytest.raises(ConfigError):
        serve(DEMO, config, trust)
    assert not (tmp_path / "a.recording").exists()
    wait_until(lambda: threading.active_count() <= threads)
    if (tmp_path / "x.jsonl").exists():
        assert (tmp_path / "x.jsonl").read_bytes() == b""
