from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from mmedge.errors import ConfigError
from mmedge.runtime.sources import Reading
from mmedge.runtime.sources.signals import SignalConfig, SignalSource

MS = 1_000_000


class Feed:
    """A followed file, and what comes out of it."""

    def __init__(self, path: Path, **config: Any) -> None:
        self.path = path
        path.write_text('{"v": [99]}\n')
        self.source = SignalSource(SignalConfig(path=str(path), **config))
        self.source.open()

    def send(self, *rows: Any) -> list[Reading]:
        """Write lines (text as it stands); give what is read."""
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        with self.path.open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))
        until, readings = self.source.bad + len(lines), []
        for _ in range(len(lines) + 5):
            if self.source.bad + len(readings) == until:
                break
            reading = self.source.read()
            readings += [] if reading is None else [reading]
        return readings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "imu.jsonl"


def test_a_reading_without_a_time_was_taken_when_it_arrived(path: Path) -> None:
    feed = Feed(path)
    first, second = feed.send({"v": [1, -2.5]}, {"v": [3, 4]})
    assert first.values.tolist() == [1.0, -2.5]
    assert first.values.dtype == "float64"
    assert 0 <= time.monotonic_ns() - first.time_ns < 200 * MS
    assert second.time_ns > first.time_ns


def test_a_single_number_is_one_channel(path: Path) -> None:
    (reading,) = Feed(path).send({"v": 21.5})
    assert reading.values.tolist() == [21.5]


def test_wall_clock_times_become_the_pipelines(path: Path) -> None:
    now_ns, wall_ns = time.monotonic_ns(), time.time_ns()
    first, second = Feed(path).send(
        {"t": (wall_ns - 500 * MS) / 1e9, "v": [1]}, {"t_ns": wall_ns - 250 * MS, "v": [2]}
    )
    assert first.time_ns - now_ns == pytest.approx(-500 * MS, abs=1 * MS)
    assert second.time_ns - now_ns == pytest.approx(-250 * MS, abs=1 * MS)


def test_monotonic_times_are_taken_as_they_are(path: Path) -> None:
    now_ns = time.monotonic_ns()
    (reading,) = Feed(path, clock="monotonic").send({"t_ns": now_ns - 7, "v": [1]})
    assert reading.time_ns == now_ns - 7


def test_a_senders_own_clock_is_mapped_by_its_quickest_lines(path: Path) -> None:
    feed = Feed(path, clock="own")
    first, second = feed.send(
        {"t": 12.0, "v": [1]}, {"t": 11.9, "v": [2]}, {"t": 12.0001, "v": [3]}
    )
    assert second.time_ns - first.time_ns == pytest.approx(100_000, abs=5 * MS)
    assert feed.source.bad == 1
    # Its board has started again.
    (again,) = feed.send({"t": 0.5, "v": [4]})
    assert 0 <= time.monotonic_ns() - again.time_ns < 200 * MS


def test_a_time_a_little_ahead_is_now_and_times_that_run_backwards_are_passed_over(
    path: Path,
) -> None:
    feed = Feed(path, clock="monotonic")
    now_ns = time.monotonic_ns()
    rows = [{"t_ns": now_ns + at * MS, "v": [at]} for at in (-300, -200, -250, -200, -100, 600)]
    readings = feed.send(*rows)
    assert [int(each.values[0]) for each in readings] == [-300, -200, -100, 600]
    assert readings[-1].time_ns <= time.monotonic_ns()
    assert feed.source.bad == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("what?", "not JSON"),
        ("[" * 60_000, "not JSON"),
        ("[1, 2]", "not an object"),
        ('{"t": 1}', "'v' must be"),
        ('{"v": []}', "'v' must be"),
        ('{"v": [1, NaN]}', "'v' must be a finite number"),
        ('{"v": [1, Infinity]}', "'v' must be a finite number"),
        ('{"v": [1, 1e999]}', "'v' must be a finite number"),
        ('{"v": [1, 1%s]}' % ("0" * 400), "'v' must be a finite number"),
        ('{"v": [1, true]}', "'v' must be a finite number"),
        ('{"v": [1, "2"]}', "'v' must be a finite number"),
        ('{"v": [1, 2, 3]}', "3 channels, not 2"),
        ('{"t": NaN, "v": [1, 2]}', "'t' must be a finite number"),
        ('{"t": 1e308, "v": [1, 2]}', "'t' must be a finite number"),
        ('{"t_ns": 1.5, "v": [1, 2]}', "'t_ns' must be a whole number"),
        ('{"t": 0, "v": [1, 2]}', "is clock='wall' what its sender uses"),
        ('{"t": 99999999999, "v": [1, 2]}', "is clock='wall' what its sender uses"),
        ('{"v": [1, ' + "1" * 70_000 + "]}", "not JSON"),
    ],
)
def test_a_bad_line_is_passed_over_counted_and_said_without_its_content(
    path: Path, caplog: pytest.LogCaptureFixture, line: str, reason: str
) -> None:
    feed = Feed(path, channels=2)
    readings = feed.send(line, {"v": [1, 2]})
    assert [each.values.tolist() for each in readings] == [[1, 2]]
    assert feed.source.bad == 1
    (record,) = caplog.records
    assert reason in record.getMessage()
    assert len(record.getMessage()) < 300


def test_many_bad_lines_are_said_ever_more_seldom(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    feed = Feed(path)
    feed.send(*(150 * ["?"]))
    assert feed.source.bad == 150
    assert [each.getMessage().rpartition("(")[2] for each in caplog.records] == [
        "1 bad lines so far)",
        "10 bad lines so far)",
        "100 bad lines so far)",
    ]


def test_the_first_reading_says_how_many_channels_there_are(path: Path) -> None:
    feed = Feed(path)
    assert len(feed.send({"v": [1, 2]}, {"v": [1]}, {"v": [3, 4]})) == 2
    assert feed.source.bad == 1


def test_it_can_be_opened_again(path: Path) -> None:
    feed = Feed(path)
    feed.source.close()
    feed.source.close()
    feed.source.open()
    assert [each.values.tolist() for each in feed.send({"v": 7})] == [[7.0]]
    feed.source.close()


@pytest.mark.parametrize("wrong", [{"path": ""}, {"channels": 0}, {"clock": "gps"}])
def test_a_wish_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SignalConfig(**wrong)
