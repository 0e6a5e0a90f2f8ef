"""Files that are written whole."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

import pytest

import mmedge._files
from mmedge._files import file_errors, write_whole
from mmedge.errors import ConfigError, ResourceError


def test_the_parts_stand_one_behind_the_other_and_replace_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"much longer than what comes")
    write_whole(tmp_path / "a", b"one", b"two")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("a", b"onetwo")]


def test_a_file_is_for_whom_it_was_said_to_be(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"", mode=0o600)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_what_fails_leaves_the_old_content_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write_whole(tmp_path / "a", b"old")
    monkeypatch.setattr(mmedge._files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "a", b"new")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("a", b"old")]


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, ResourceError), (errno.EDQUOT, ResourceError), (errno.EROFS, ConfigError)],
)
def test_a_full_disk_is_another_error_than_a_folder_that_may_not_be_written(
    number: int, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match=r"^a cannot be written: refused\. Take another\.$"):  # noqa: SIM117
        with file_errors(Path("a"), "Take another."):
            raise OSError(number, "refused")
    with pytest.raises(kind, match=r"^a cannot be written: refused$"), file_errors(Path("a")):
        raise OSError(number, "refused")
