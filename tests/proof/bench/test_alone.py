"""Who measures does so alone, and who cannot lock goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from mmedge.proof.bench.alone import alone


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileLock:
    """Another process's."""
    monkeypatch.setenv("MMEDGE_CACHE", str(tmp_path))
    (tmp_path / "bench").mkdir()
    return FileLock(tmp_path / "bench" / ".lock")


def test_nobody_else_measures_meanwhile(lock: FileLock) -> None:
    with alone(print), alone(print), pytest.raises(Timeout):  # a first run is a bench
        lock.acquire(timeout=0)
    lock.acquire(timeout=0)
    lock.release()


def test_another_one_is_waited_for_and_that_is_said(lock: FileLock) -> None:
    lock.acquire()
    said: list[str] = []

    def say(words: str) -> None:
        said.append(words)
        lock.release()  # the other one has ended

    with alone(say):
        assert said == ["another process measures; this one waits for it"]


def test_where_there_can_be_no_lock_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MMEDGE_CACHE", str(tmp_path / "file"))
    with alone(print):
        assert (tmp_path / "file").read_bytes() == b""
