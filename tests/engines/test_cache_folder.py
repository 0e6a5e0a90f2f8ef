"""The folder that engines are kept in: its list, its cleaning, and where it cannot be used."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from mmedge.engines.cache import EngineCache, default_folder
from mmedge.engines.stored import Built
from mmedge.errors import ConfigError, ResourceError
from tests.engines.requests import BUILT, REQUEST, Spy, cache_in, flip, request


@pytest.fixture
def spy(tmp_path: Path) -> Spy:
    return Spy(cache_in(tmp_path))


def test_the_list_says_what_is_kept_and_what_is_wrong(spy: Spy, tmp_path: Path) -> None:
    spy.ask()
    spy.ask(request(plan="fp16"))
    fp16, int8 = spy.cache.entries()
    assert (fp16.problem, int8.problem) == ("", "")
    assert fp16.head is not None
    assert fp16.head.request == request(plan="fp16")
    assert fp16.bytes == fp16.path.stat().st_size
    flip(int8.path, 30)
    problems = {entry.path: entry.problem for entry in spy.cache.entries()}
    assert problems[fp16.path] == ""
    assert "was not signed with this device's key" in problems[int8.path]
    (tmp_path / "state" / "engine.key").unlink()
    assert {each.problem for each in spy.cache.entries()} == {"this device has no key yet"}


def test_cleaning_removes_all_engines_and_drafts_and_nothing_else(spy: Spy) -> None:
    spy.ask()
    spy.ask(request(plan="fp16"))
    (spy.cache.folder / ".x.part").touch()
    (spy.cache.folder / "note.txt").touch()
    assert len(spy.cache.clean()) == 2
    assert sorted(each.name for each in spy.cache.folder.iterdir()) == [".lock", "note.txt"]
    assert spy.cache.clean() == ()


def test_cleaning_where_nothing_was_built_makes_no_folder(spy: Spy) -> None:
    assert spy.cache.clean() == spy.cache.entries() == ()
    assert not spy.cache.folder.exists()


def test_cleaning_waits_for_no_builder(spy: Spy, tmp_path: Path) -> None:
    def build() -> Built:
        with pytest.raises(ConfigError, match="another process builds engines"):
            cache_in(tmp_path).clean()
        return BUILT

    assert spy.cache.engine(REQUEST, build) == BUILT


def test_a_folder_that_others_may_write_is_refused(spy: Spy) -> None:
    spy.cache.folder.mkdir()
    spy.cache.folder.chmod(0o777)
    with pytest.raises(ConfigError, match=r"others may write it \(its mode is 777\).*chmod 700"):
        spy.ask()
    assert spy.built == 0


def test_a_folder_that_cannot_be_made_is_said_before_the_build(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder would be")
    spy = Spy(cache_in(tmp_path))
    with pytest.raises(ConfigError, match="Set MMEDGE_CACHE to a folder that this user may write"):
        spy.ask()
    assert spy.built == 0


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_without_locks_is_said_and_nothing_else_is_taken_for_one(
    spy: Spy, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(handle: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(ConfigError, match="Set MMEDGE_CACHE to a folder on a local disk"):
        spy.ask()
    assert spy.built == 0


def test_a_full_disk_is_said_and_leaves_no_part(spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    spy.ask()
    spy.cache.clean()
    monkeypatch.setattr("mmedge._files.os.fsync", full)
    with pytest.raises(ResourceError, match=r"the disk of .* is full"):
        spy.ask()
    assert [each.name for each in spy.cache.folder.iterdir()] == [".lock"]


def test_the_key_may_not_lie_in_the_cache(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must not be in the cache"):
        EngineCache(tmp_path / "cache", key_file=tmp_path / "cache" / "state" / "engine.key")


def test_the_folder_is_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMEDGE_CACHE", "/data/mmedge")
    assert default_folder() == EngineCache().folder == Path("/data/mmedge/engines")
