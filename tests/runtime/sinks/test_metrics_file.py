from __future__ import annotations

from pathlib import Path

import pytest

from mmedge.errors import ConfigError
from mmedge.runtime.sinks.metrics_file import MetricsFile, MetricsFileConfig
from tests.runtime.sinks.ticks import HandClock, make_status, make_tick


def test_the_file_is_written_at_most_once_a_second_and_goes_at_the_end(tmp_path: Path) -> None:
    path, clock = tmp_path / "mmedge.prom", HandClock()
    sink = MetricsFile(MetricsFileConfig(path=path), clock=clock)
    sink.show(make_status(ticks=1))
    assert "\nmmedge_ticks_total 1.0\n" in path.read_text("utf-8")
    clock.forward(0.9)
    sink.show(make_status(ticks=2))
    assert "\nmmedge_ticks_total 1.0\n" in path.read_text("utf-8")
    clock.forward(0.1)
    sink.show(make_status(ticks=3))
    assert "\nmmedge_ticks_total 3.0\n" in path.read_text("utf-8")
    assert [file.name for file in tmp_path.iterdir()] == ["mmedge.prom"]
    sink.close()
    assert list(tmp_path.iterdir()) == []


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path, clock = tmp_path / "mmedge.prom", HandClock()
    sink = MetricsFile(MetricsFileConfig(path=path), clock=clock)
    sink.show(make_status())
    with path.open(encoding="utf-8") as before:
        clock.forward(1)
        sink.show(make_status(ticks=21))
        old = before.read()
    assert "mmedge_ticks_total 20.0" in old
    assert old.endswith("\n")
    assert "mmedge_ticks_total 21.0" in path.read_text("utf-8")


def test_a_file_that_cannot_be_written_degrades_and_recovers(tmp_path: Path) -> None:
    folder, clock = tmp_path / "textfile", HandClock()
    folder.mkdir()
    sink = MetricsFile(MetricsFileConfig(path=folder / "mmedge.prom"), clock=clock)
    folder.rmdir()
    sink.show(make_status())
    for _ in range(2):
        with pytest.raises(OSError, match="No such file or directory"):
            sink.emit(make_tick())
    folder.mkdir()
    clock.forward(1)
    sink.show(make_status())
    sink.emit(make_tick())


def test_what_node_exporter_would_not_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"only files that end with '\.prom'"):
        MetricsFileConfig(path=tmp_path / "mmedge.txt")
    with pytest.raises(ConfigError, match="is no folder"):
        MetricsFileConfig(path=tmp_path / "missing" / "mmedge.prom")
    with pytest.raises(ConfigError, match="at most once a second"):
        MetricsFileConfig(path=tmp_path / "mmedge.prom", every_ms=10)
