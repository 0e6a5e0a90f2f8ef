from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.bundle import Bundle
from mmedge.errors import ArtefactError, ConfigError, SourceError
from mmedge.runtime import warming
from mmedge.runtime.clips import open_sound, open_video
from mmedge.runtime.pipeline.config import EventConfig, LiveConfig
from mmedge.runtime.pipeline.pipeline import Pipeline
from mmedge.runtime.pipeline.recorder import RecordConfig, Recorder
from mmedge.runtime.pipeline.replay import (
    _Player,
    as_run,
    ideal,
    recorded_config,
    recorded_run,
)
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.recording import Recording, open_recording
from mmedge.runtime.recording.layout import EncodingRow, ThreadsRow, TickRow
from mmedge.runtime.samples import Frame
from tests.fakes import linear_bundle
from tests.runtime.pipeline.fakes import wait_until
from tests.runtime.sinks.ticks import HandClock

CLIP = Path(__file__).resolve().parents[3] / "mmedge" / "demo" / "clip.mkv"
SPEED, CLIP_S = 4, 6
CONFIG = LiveConfig(max_age_ms={"camera": 900}, events=EventConfig(smooth_ms=200))

Live = tuple[Recording, list[str]]


def clock() -> int:
    """Time that runs four times as fast, so that six seconds of clip take one and a half."""
    return time.monotonic_ns() * SPEED


def feed(pipeline: Pipeline, begin_ns: int) -> None:
    """Push the beginning of the demo's clip at its own times."""
    limit_ns = CLIP_S * 10**9
    items: list[tuple[int, int, str, Any]] = [
        (frame.time_ns, frame.time_ns, "camera", frame.rgb)
        for frame in open_video(CLIP).frames()
        if frame.time_ns < limit_ns
    ]
    for block in open_sound(CLIP).blocks():
        come_ns = block.time_ns + block.pcm.duration_ns
        if come_ns < limit_ns:
            items.append((come_ns, block.time_ns, "mic", block.pcm))
    for come_ns, time_ns, name, value in sorted(items, key=lambda item: item[0]):
        time.sleep(max(begin_ns + come_ns - clock(), 0) / 1e9 / SPEED)
        pipeline.push(name, value, begin_ns + time_ns)
    pipeline.push("hint", "even")
    time.sleep(0.2)


def decisions(ticks: Iterator[Tick]) -> list[str]:
    return [json.dumps(tick.decision()) for tick in ticks]


def record(
    folder: Path, demo: Bundle, prepare: Callable[[Pipeline], None] = lambda _: None
) -> Live:
    keep = Recorder(RecordConfig(path=folder / "a.recording"), demo, CONFIG, clock=clock)
    with Pipeline(demo, config=CONFIG, recorder=keep, clock=clock) as pipeline:
        prepare(pipeline)

        def run() -> None:
            feed(pipeline, clock())
            pipeline.close()

        threading.Thread(target=run).start()
        made = decisions(iter(pipeline))
    return open_recording(folder / "a.recording"), made


@pytest.fixture(scope="module")
def live(demo: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Live:
    """A recording of six seconds of the demo's clip, and the decisions made meanwhile."""
    return record(tmp_path_factory.mktemp("live"), demo)


@pytest.fixture
def copy(live: Live, tmp_path: Path) -> Path:
    return Path(shutil.copytree(live[0].path, tmp_path / "b.recording"))


def test_as_run_gives_the_live_decisions_byte_for_byte(predictor: Predictor, live: Live) -> None:
    recording, made = live
    assert len(made) > 20
    assert decisions(as_run(predictor, recording)) == made
    assert decisions(as_run(predictor, recording)) == made


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


def test_ideal_does_not_depend_on_the_blocks_and_finds_the_digits(
    predictor: Predictor, live: Live
) -> None:
    recording, _ = live
    config = recorded_config(recording)
    assert config == CONFIG
    whole = decisions(ideal(predictor, recording, config))
    for block_ms in (10, 20, 64):
        assert decisions(ideal(predictor, recording, config, block_ms=block_ms)) == whole

    events = [(e["label"], e["what"]) for line in whole for e in json.loads(line)["events"]]
    assert events[:4] == [
        ("three", "began"),
        ("three", "ended"),
        ("seven", "began"),
        ("seven", "ended"),
    ]


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


def test_a_prediction_that_was_logged_late_is_repeated(
    predictor: Predictor, live: Live, copy: Path
) -> None:
    decided = next(row for row in live[0].log() if isinstance(row, TickRow)).model_dump()
    rows: list[Any] = [
        {"what": "encoding", "modality": "camera", "number": number, "place": [frame.time_ns]}
        for number, frame in enumerate(live[0].samples("camera"))
    ]
    assert len(rows) == 72
    lines = [*rows, {**decided, "uses": {"camera": 0}}]
    (copy / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tick,) = as_run(predictor, open_recording(copy))
    assert tick.basis["camera"].encoding == 0


def test_encodings_that_no_prediction_can_use_are_forgotten(
    predictor: Predictor, live: Live
) -> None:
    player = _Player("camera", predictor, live[0], kept_ns=10**9)
    rows = [r for r in live[0].log() if isinstance(r, EncodingRow) and r.modality == "camera"]
    for row in rows:
        player.repeat(row)
    newest_ns = player.made[rows[-1].number].end_ns
    kept = sorted(each.end_ns for each in player.made.values())
    assert len(kept) < len(rows) / 2
    assert kept[0] < newest_ns - 10**9 <= kept[1]  # it was the newest until kept[1] was made


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


def test_another_bundle_cannot_repeat_what_was_decided(live: Live) -> None:
    with (
        Predictor(linear_bundle(1)) as predictor,
        pytest.raises(ConfigError, match="was made with another bundle"),
    ):
        list(as_run(predictor, live[0]))
    with (
        Predictor(linear_bundle(1)) as predictor,
        pytest.raises(ConfigError, match="which the bundle does not have; it has ant"),
    ):
        list(ideal(predictor, live[0], LiveConfig()))


def test_a_recording_that_was_cut_off_is_repeated_up_to_there(
    predictor: Predictor, live: Live, copy: Path
) -> None:
    header = (copy / "recording.json").read_text()
    (copy / "recording.json").write_text(header.replace('"complete": true', '"complete": false'))
    log = (copy / "log.jsonl").read_bytes()
    (copy / "log.jsonl").write_bytes(log[: len(log) // 2])
    repeated = decisions(as_run(predictor, open_recording(copy)))
    assert len(repeated) > 10
    assert repeated == live[1][: len(repeated)]
    (copy / "log.jsonl").write_bytes(log)
    media = (copy / "camera-0.mkv").read_bytes()
    (copy / "camera-0.mkv").write_bytes(media[: len(media) // 2])
    found: list[Tick] = []
    with pytest.raises(SourceError, match="was not recorded"):
        found.extend(as_run(predictor, open_recording(copy)))
    assert decisions(iter(found)) == live[1][: len(found)]
    assert len(found) > 5


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"modality": "mic"', '"modality": "fly"', "names what is not there: 'fly'"),
        (r'"uses": \{"(\w+)": \d+', r'"uses": {"\1": 70', "names what is not there: 70"),
        ('"bundle": "', '"bundle": "x', "went on with another bundle"),
    ],
)
def test_a_log_that_does_not_hold_together_is_refused(
    predictor: Predictor, copy: Path, old: str, new: str, told: str
) -> None:
    log, changed = re.subn(old, new, (copy / "log.jsonl").read_text(), count=1)
    assert changed
    (copy / "log.jsonl").write_text(log)
    with pytest.raises((ArtefactError, SourceError), match=told):
        list(as_run(predictor, open_recording(copy)))


@pytest.mark.parametrize("place", [[1], [1, 2, 3, 4], [2**63 - 1], [-(2**63)] * 3, [1] * 10_000])
@pytest.mark.parametrize("name", ["camera", "mic", "hint"])
def test_a_place_that_cannot_be_is_not_found(
    predictor: Predictor, copy: Path, name: str, place: list[int]
) -> None:
    row = {"what": "encoding", "modality": name, "number": 0, "place": place}
    (copy / "log.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(SourceError, match="was not recorded"):
        list(as_run(predictor, open_recording(copy)))


def test_lost_sound_is_not_mistaken_for_what_follows(predictor: Predictor, copy: Path) -> None:
    header = json.loads((copy / "recording.json").read_text())
    times = copy / header["tracks"]["mic"]["parts"][0]["times"]
    rows = bytearray(times.read_bytes())
    for at in range(32 * 20 + 8, len(rows), 32):  # from block 20 on, its index leaps
        index = int.from_bytes(rows[at : at + 8], "little") + 4_800
        rows[at : at + 8] = index.to_bytes(8, "little")
    times.write_bytes(rows)
    with pytest.raises(SourceError, match="was not recorded"):
        list(as_run(predictor, open_recording(copy)))


@pytest.mark.parametrize(
    "live_config",
    [
        {},
        {"events": {}, "queue": "64"},
        {"events": []},
        {"max_age_ms": []},
        {"heartbeat_ms": 0},
        {"heartbeat_ms": 1e400},
        {"fuse": 5},
    ],
    ids=str,
)
def test_a_configuration_that_cannot_be_is_refused(copy: Path, live_config: Any) -> None:
    header = json.loads((copy / "recording.json").read_text())
    header["live"] = live_config
    (copy / "recording.json").write_text(json.dumps(header))
    if live_config == {}:
        assert recorded_config(open_recording(copy)) == LiveConfig()
        return
    with pytest.raises(ArtefactError, match=r"no live configuration|not the header"):
        recorded_config(open_recording(copy))
