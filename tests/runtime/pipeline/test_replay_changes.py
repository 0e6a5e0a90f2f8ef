"""What was slow, or changed, in a live run is so again when its recording is repeated."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.bundle import Bundle
from mmedge.errors import ArtefactError, SourceError
from mmedge.runtime import warming
from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.pipeline import Pipeline
from mmedge.runtime.pipeline.recorder import RecordConfig, Recorder
from mmedge.runtime.pipeline.replay import (
    as_run,
    ideal,
    recorded_run,
)
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.recording import open_recording
from mmedge.runtime.recording.layout import ThreadsRow
from mmedge.runtime.samples import Frame
from tests.fakes import linear_bundle
from tests.runtime.pipeline.fakes import wait_until
from tests.runtime.pipeline.recorded import CONFIG, decisions, record
from tests.runtime.sinks.ticks import HandClock


def test_as_run_repeats_what_a_slow_encoder_skipped(
    predictor: Predictor, demo: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_down(pipeline: Pipeline) -> None:
        real = pipeline._engine.predictor.encode

        def encode(name: str, arrays: Mapping[str, Any], *rest: Any, **more: Any) -> Any:
            time.sleep({"camera": 0.06, "mic": 0.15}.get(name, 0))
            return real(name, arrays, *rest, **more)

        monkeypatch.setattr(pipeline._engine.predictor, "encode", encode)

    recording, made = record(tmp_path, demo, slow_down)
    skipped = [row.skipped for row in recording.log() if row.what == "encoding"]
    assert sum(skipped) > 20
    assert decisions(as_run(predictor, recording)) == made


def test_prompts_that_change_on_the_way_are_repeated(tmp_path: Path) -> None:
    told: list[tuple[tuple[str, ...], str]] = []

    class Noting(Predictor):
        def set_prompts(self, texts: Any, template: Any = "{}") -> None:
            told.append((tuple(texts), template))

    bundle = linear_bundle(1)
    keep = Recorder(RecordConfig(path=tmp_path / "a.recording"), bundle, LiveConfig())
    keep.start()
    keep.prompts(("a cat", "a dog"), "a photo of {}")
    keep.close()
    with Noting(bundle) as predictor:
        assert list(as_run(predictor, open_recording(tmp_path / "a.recording"))) == []
    assert told == [(("a cat", "a dog"), "a photo of {}")]


def test_what_came_before_the_start_is_repeated_too(
    predictor: Predictor, demo: Bundle, tmp_path: Path
) -> None:
    keep = Recorder(RecordConfig(path=tmp_path / "a.recording"), demo, CONFIG)
    pipeline = Pipeline(demo, config=CONFIG, recorder=keep)
    pipeline.push("hint", "even")
    with pipeline:
        pipeline.push("camera", np.zeros((8, 8, 3), np.uint8))
        wait_until(lambda: pipeline.status().ticks > 1)
        pipeline.close()
        made = decisions(iter(pipeline))
    assert '"hint"' in made[-1]
    assert decisions(as_run(predictor, open_recording(tmp_path / "a.recording"))) == made


def test_graphs_run_with_the_threads_of_then(
    demo: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warming, "SLOW_MS", 0.0)  # so that every graph counts as slow
    keep = Recorder(RecordConfig(path=tmp_path / "a.recording"), demo, CONFIG)
    with Pipeline(demo, config=CONFIG, recorder=keep) as pipeline:
        pipeline.push("hint", "even")
        wait_until(lambda: pipeline.ready)
    recording = open_recording(tmp_path / "a.recording")
    (row,) = (row for row in recording.log() if isinstance(row, ThreadsRow))
    assert row.graphs == dict.fromkeys(["camera", "mic", "hint", "fusion"], None)
    assert (row.backend, row.plan) == ("cpu", "fp32")
    lines = (recording.path / "log.jsonl").read_text()
    (recording.path / "log.jsonl").write_text(lines.replace('"camera": null', '"camera": 3', 1))
    with Predictor(demo, threads=1) as predictor:
        assert len(list(as_run(predictor, recording))) > 0
        assert predictor.threads == {"camera": 3, "mic": None, "hint": None, "fusion": None}
    (recording.path / "log.jsonl").write_text(lines.replace('"camera": null', '"fly": 3', 1))
    with (
        Predictor(demo, threads=1) as predictor,
        pytest.raises(ArtefactError, match="names what is not there: 'fly'"),
    ):
        list(as_run(predictor, recording))


def test_what_ran_by_itself_is_what_ran_then_whatever_is_fastest_now(
    demo: Bundle, tmp_path: Path, counting: Any
) -> None:
    keep = Recorder(RecordConfig(path=tmp_path / "a.recording"), demo, CONFIG)
    with Pipeline(demo, config=CONFIG, recorder=keep, backend="counting") as pipeline:
        pipeline.push("hint", "even")
        wait_until(lambda: pipeline.ready)
    recording = open_recording(tmp_path / "a.recording")
    assert recorded_run(recording, "auto", "auto") == ("counting", "fp32")
    assert recorded_run(recording, "cpu", "auto") == ("cpu", "fp32")
    assert recorded_run(recording, "auto", "low") == ("counting", "low")
    assert recorded_run(recording, "cpu", "low") == ("cpu", "low")
    lines = (recording.path / "log.jsonl").read_text().splitlines(keepends=True)
    older = [line for line in lines if '"threads"' not in line]
    (recording.path / "log.jsonl").write_text("".join(older))
    assert recorded_run(recording, "auto", "auto") == ("auto", "auto")


def test_a_bundle_that_was_opened_anew_ends_the_repetition(
    predictor: Predictor, demo: Bundle, tmp_path: Path
) -> None:
    def swap(pipeline: Pipeline) -> None:
        wait_until(lambda: pipeline.ready)
        pipeline.swap(demo)

    def prepare(pipeline: Pipeline) -> None:
        threading.Thread(target=swap, args=(pipeline,)).start()

    recording, made = record(tmp_path, demo, prepare)
    found: list[Tick] = []
    with pytest.raises(SourceError, match="went on with the same bundle, opened anew"):
        found.extend(as_run(predictor, recording))
    assert 0 < len(found) < len(made)
    assert decisions(iter(found)) == made[: len(found)]


def test_ideal_goes_on_until_the_recording_ended(
    predictor: Predictor, demo: Bundle, tmp_path: Path
) -> None:
    clock = HandClock(5 * 10**9)
    keep = Recorder(RecordConfig(path=tmp_path / "a.recording"), demo, CONFIG, clock=clock)
    keep.start()
    keep.sample("camera", Frame(clock(), np.zeros((8, 8, 3), np.uint8)))
    clock.forward(3)
    keep.close()
    ticks = list(ideal(predictor, open_recording(tmp_path / "a.recording"), CONFIG))
    assert "camera" not in ticks[0].absent
    gone = next(tick for tick in ticks if tick.absent.get("camera") == "stale")
    assert gone.time_ns == 5 * 10**9 + 900_000_000 + 1
    assert 7 * 10**9 < ticks[-1].time_ns <= 8 * 10**9
