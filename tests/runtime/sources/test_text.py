from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mmedge.errors import ConfigError, SourceError
from mmedge.runtime.sources import Ended, Line
from mmedge.runtime.sources.text import TextConfig, TextSource


def texts(source: TextSource, count: int, *, polls: int = 30) -> list[str]:
    """The next ``count`` lines; fewer if no more come."""
    lines: list[str] = []
    for _ in range(polls):
        if len(lines) == count:
            break
        line = source.read()
        if line is not None:
            lines.append(line.text)
    return lines


def following(path: Path, **config: int) -> TextSource:
    source = TextSource(TextConfig(path=str(path), **config))
    source.open()
    return source


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The end of a pipe that is standard input; write to it."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as file:
        monkeypatch.setattr(sys, "stdin", file)
        yield writing
    with suppress(OSError):  # the test may have closed it
        os.close(writing)


def test_lines_of_standard_input_come_with_the_time_of_arrival(stdin: int) -> None:
    source = TextSource(TextConfig())
    assert source.name == "text from standard input"
    assert source.open() == "standard input"
    assert source.read() is None
    os.write(stdin, "find the dög\r\n\nhal".encode())
    first = source.read()
    assert isinstance(first, Line)
    assert first.text == "find the dög"
    assert 0 <= time.monotonic_ns() - first.time_ns < 100_000_000
    assert texts(source, 1) == [""]
    assert source.read() is None  # half a line is none yet
    os.write(stdin, b"f\nlast")
    assert texts(source, 1) == ["half"]
    os.close(stdin)
    assert texts(source, 1) == ["last"]
    with pytest.raises(Ended, match="standard input has ended"):
        source.read()


def test_nothing_to_read_takes_a_tenth_of_a_second(stdin: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in ("-", str(tmp_path / "pipe"), str(tmp_path / "later.txt")):
        source = TextSource(TextConfig(path=path))
        source.open()
        begin_s = time.monotonic()
        assert source.read() is None
        assert 0.05 < time.monotonic() - begin_s < 0.4
        source.close()


def test_a_followed_file_begins_with_the_line_that_holds_now(tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text("old\nolder\nnow\n")
    source = following(path)
    assert texts(source, 2, polls=3) == ["now"]
    with path.open("a") as file:
        file.write("next\n")
    assert texts(source, 1) == ["next"]
    source.close()


def test_a_file_may_appear_later(tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    source = TextSource(TextConfig(path=str(path)))
    assert source.open() == f"waiting for '{path}' to appear"
    assert source.read() is None
    path.write_text("a\nb\n")
    assert texts(source, 2) == ["a", "b"]


def test_a_file_may_be_rotated_and_what_was_still_written_is_read_first(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("1\n")
    source = following(path)
    assert texts(source, 1) == ["1"]
    with path.open("a") as old:
        path.rename(tmp_path / "log.txt.1")
        old.write("2\n3")
        old.flush()
        assert texts(source, 1) == ["2"]
        path.write_text("4\n")
        assert texts(source, 2) == ["3", "4"]
    with path.open("a") as file:
        file.write("5\n")
    assert texts(source, 1) == ["5"]


def test_a_file_may_be_truncated(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("a long line\n")
    source = following(path)
    assert texts(source, 1) == ["a long line"]
    os.truncate(path, 0)
    assert source.read() is None
    with path.open("a") as file:
        file.write("new\n")
    assert texts(source, 1) == ["new"]


def test_a_pipe_waits_for_its_next_writer(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    source = TextSource(TextConfig(path=str(path)))
    assert source.open() == f"pipe '{path}'"
    assert source.read() is None
    for text in ("one", "two"):
        writer = os.open(path, os.O_WRONLY)
        os.write(writer, f"{text}\n".encode())
        os.close(writer)
        assert texts(source, 1) == [text]
    source.close()
    source.close()


def test_a_line_that_is_too_long_is_cut_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "log.txt"
    path.write_text("")
    source = following(path, longest_chars=4)
    with path.open("a") as file:
        file.write("x" * 200_000)
        file.write("\nfine\nabcdefg\nüüüüü\nend\n")
    assert texts(source, 5) == ["xxxx", "fine", "abcd", "üüüü", "end"]
    assert source.cut == 3
    assert "abcd" not in caplog.text


def test_the_last_line_of_a_file_may_be_too_long(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("first\n" + "y" * 1_000 + "\n")
    assert texts(following(path, longest_chars=4), 2, polls=3) == ["yyyy"]


def test_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"\xef\xbb\xbfa\xffb\n")
    assert texts(following(path), 1) == ["a\ufffdb"]


def test_a_folder_is_refused_and_so_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a folder"):
        following(tmp_path)
    with pytest.raises(ConfigError, match="path=''"):
        TextConfig(path="")
    with pytest.raises(ConfigError, match="longest_chars=0"):
        TextConfig(longest_chars=0)


def test_a_program_without_standard_input_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SourceError, match="no standard input here"):
        TextSource(TextConfig()).open()
