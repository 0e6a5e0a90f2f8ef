"""A recording repeated as it ran, or as it would ideally run; and recordings that cannot be."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from mmedge.bundle import Bundle
from mmedge.errors import ArtefactError, ConfigError, SourceError
from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.replay import (
    _Player,
    as_run,
    ideal,
    recorded_config,
)
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.recording import open_recording
from mmedge.runtime.recording.layout import EncodingRow, TickRow
from tests.fakes import linear_bundle
from tests.runtime.pipeline.recorded import CONFIG, Live, decisions, record


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
