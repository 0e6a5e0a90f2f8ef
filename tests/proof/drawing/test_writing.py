"""Where a page may be written is known before the work begins."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from mmedge.errors import ConfigError, ResourceError
from mmedge.proof.drawing import writing as module
from mmedge.proof.drawing.writing import check_page, write_page


def test_a_page_is_written_and_replaced(tmp_path: Path) -> None:
    check_page(tmp_path / "a.html")
    write_page(tmp_path / "a.html", "one")
    check_page(tmp_path / "a.html")
    write_page(tmp_path / "a.html", "two")
    assert (tmp_path / "a.html").read_text() == "two"
    assert [each.name for each in tmp_path.iterdir()] == ["a.html"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("clips.jsonl", r"ends in \.html, not 'clips\.jsonl'"),
        ("no/a.html", "does not exist; make it first"),
        ("folder.html", "exists and is not a file"),
    ],
)
def test_a_place_where_no_page_can_be_is_refused(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(ConfigError, match=words):
        check_page(tmp_path / name)


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, ResourceError), (errno.EACCES, ConfigError)]
)
def test_what_the_system_refuses_is_said(
    number: int, kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise OSError(number, "refused", str(path))

    monkeypatch.setattr(module, "write_whole", refuse)
    with pytest.raises(kind, match=r"a\.html cannot be written: refused"):
        write_page(tmp_path / "a.html", "one")
