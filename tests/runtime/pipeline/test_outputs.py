from __future__ import annotations

import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from mmedge.errors import ConfigError, MmedgeError
from mmedge.runtime.pipeline.outputs import Outputs, make_sinks
from mmedge.runtime.sinks import Sink


def made(**outputs: Any) -> list[Sink]:
    return make_sinks(Outputs(**outputs), lambda: None, lambda: None, lambda _: None)


def closed(sinks: list[Sink]) -> list[str]:
    for sink in sinks:
        sink.close()
    return [sink.name for sink in sinks]


def test_by_default_there_is_a_view_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert closed(made()) == ["terminal"]
    assert closed(made(as_json=True)) == ["jsonl"]
    assert list(tmp_path.iterdir()) == []


def test_every_sink_can_be_had_at_once(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    sinks = made(jsonl=tmp_path / "a.jsonl", metrics_file=tmp_path / "a.prom", http="0")
    assert sorted(closed(sinks)) == ["http", "jsonl", "metrics-file", "terminal"]


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        ({"http_token": Path("x")}, "of no use without --http"),
        ({"only_events": True}, "Give --json or --jsonl FILE"),
    ],
)
def test_what_would_do_nothing_is_refused(outputs: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Outputs(**outputs)


@pytest.mark.parametrize(
    "address",
    ["nonsense", "", ":", "80x", "-1", "99999", "1.2.3:80", "evil.example:80", "[::1]", "²"],
)
def test_an_address_that_cannot_be_meant_is_refused(
    address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("uvicorn")
    with pytest.raises(ConfigError):
        made(http=address, jsonl=tmp_path / "a.jsonl")
    assert "token" not in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_only_begins_like_loopback_needs_a_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pytest.importorskip("uvicorn")
    with pytest.raises(ConfigError, match="must be an IP address"):
        made(http="127.0.0.1.evil.example:80")
    assert caplog.text == ""


def test_a_port_in_use_is_said_and_what_was_made_before_is_closed(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(MmedgeError, match=str(port)):
            made(http=str(port), jsonl=tmp_path / "a.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_a_sink_that_cannot_be_made_frees_those_before_it(tmp_path: Path) -> None:
    for _ in range(2):  # a file's lock would still be held the second time
        with pytest.raises(ConfigError):
            made(jsonl=tmp_path / "a.jsonl", metrics_file=tmp_path / "no.txt")


def test_a_token_from_a_file_is_told_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("uvicorn")
    file = tmp_path / "token"
    file.write_text("0123456789abcdef-secret\n")
    file.chmod(stat.S_IRUSR)
    closed(made(http="127.0.0.1:0", http_token=file))
    assert "secret" not in caplog.text


def test_a_token_that_was_made_is_told_and_not_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("uvicorn")
    monkeypatch.delenv("MMEDGE_HTTP_TOKEN", raising=False)
    told: list[str] = []
    with caplog.at_level(0):
        closed(make_sinks(Outputs(http="0.0.0.0:0"), lambda: None, lambda: None, told.append))
    (line,) = told
    assert line.startswith("whoever asks on 0.0.0.0:0 needs this token: ")
    assert line.rpartition(" ")[2] not in caplog.text
    closed(make_sinks(Outputs(http="0"), lambda: None, lambda: None, told.append))
    assert len(told) == 1  # on this machine only none is made


def test_a_token_of_the_environment_is_needed_on_this_machine_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("uvicorn")
    from mmedge.runtime.server import Server

    monkeypatch.setenv("MMEDGE_HTTP_TOKEN", "a-secret-of-32-characters-or-so-1")
    (server, view) = made(http="0")
    assert isinstance(server, Server)
    try:
        assert server._config.token == "a-secret-of-32-characters-or-so-1"
    finally:
        closed([server, view])
