"""The whole of it: a camera and a microphone as programs see them, and ``mmedge serve``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mmedge.bundle import open_bundle
from mmedge.demo.run import BUNDLE
from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.replay import ideal
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.recording import open_recording
from tests.live import digits, stage
from tests.live.rtsp import ROOT
from tests.live.serving import Row, Serving, decision, events
from tests.live.stage import Stage

pytestmark = pytest.mark.live

MS = 1_000_000


@dataclass(frozen=True)
class Performance:
    """What was predicted while the demo's digits were played; ``lines`` as they were printed."""

    begin_ns: int
    lines: list[str]
    recording: Path

    @property
    def rows(self) -> list[Row]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture(scope="module")
def performance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Performance]:
    if stage.missing():
        pytest.skip(stage.missing())
    recording = tmp_path_factory.mktemp("serve") / "digits.recording"
    options = ["--camera", "0", "--mic", "default", "--record", str(recording)]
    film, sound = digits.film(), digits.sound()
    with Stage() as running, Serving(*options, environment=running.environment) as serving:
        serving.until_present("camera", "mic")
        begin_ns = running.perform(film, sound, digits.FILM_HZ)
        end_ns = begin_ns + digits.scenes()[-1].end_ms * MS
        serving.until(lambda row: row["time_ns"] > end_ns, timeout_s=30)
        assert serving.end() == 0
        yield Performance(begin_ns, serving.lines, recording)


def replay(recording: Path, how: str) -> list[str]:
    command = [sys.executable, "-m", "mmedge", "serve", "--recording", str(recording)]
    done = subprocess.run(
        [*command, "--replay", how, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines(keepends=True)


@pytest.fixture(scope="module")
def perfect(performance: Performance) -> list[str]:
    """What an ideal replay prints."""
    return replay(performance.recording, "ideal")


def test_every_digits_event_begins_within_a_second_and_a_half(performance: Performance) -> None:
    told = events(performance.rows)
    delays_ms = {}
    for scene in digits.scenes():
        if scene.label in (None, "nothing"):
            continue
        begins_ms = [
            (event["time_ns"] - performance.begin_ns) / MS - scene.begin_ms
            for event in told
            if (event["label"], event["what"]) == (scene.label, "began")
        ]
        assert len(begins_ms) == 1, scene
        delays_ms[scene.label] = begins_ms[0]
    assert len(delays_ms) == 6
    assert all(0 < delay_ms < 1_500 for delay_ms in delays_ms.values()), delays_ms


def test_a_replay_as_run_gives_exactly_the_live_decisions(performance: Performance) -> None:
    repeated = replay(performance.recording, "as-run")
    assert list(map(decision, repeated)) == list(map(decision, performance.lines))
    assert len(repeated) > 300


def test_an_ideal_replay_gives_the_same_events_within_one_tick(
    performance: Performance, perfect: list[str]
) -> None:
    live, ideally = performance.rows, [json.loads(line) for line in perfect]
    assert names(live) == names(ideally)
    # A tick comes with every picture: which one each event came with is counted.
    pictures = sorted({picture(row) for row in ideally if "camera" in row["basis"]})
    apart = [
        pictures.index(picture(one)) - pictures.index(picture(other))
        for one, other in zip(with_events(live), with_events(ideally), strict=True)
    ]
    assert len(apart) >= 11
    assert max(map(abs, apart)) <= 1, apart


def names(rows: list[Row]) -> list[tuple[str, str]]:
    return [(event["label"], event["what"]) for event in events(rows)]


def with_events(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["events"]]


def picture(row: Row) -> int:
    return int(row["basis"]["camera"]["end_ns"])


@pytest.mark.parametrize("block_ms", [10, 20, 64])
def test_ideal_replays_give_the_same_bytes_whatever_the_blocks_of_sound(
    performance: Performance, perfect: list[str], block_ms: int
) -> None:
    recording = open_recording(performance.recording)
    with Predictor(open_bundle(BUNDLE)) as predictor:
        ticks = ideal(predictor, recording, LiveConfig(), block_ms=block_ms)
        again = [json.dumps(tick.to_json()) for tick in ticks]
    assert list(map(decision, again)) == list(map(decision, perfect))
    assert len(perfect) > 300
