"""Writing a bundle: whole, or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import filelock
import pytest

import mmedge._files
import mmedge.bundle
from mmedge.bundle import MANIFEST, check_target, open_bundle, save_bundle, writing
from mmedge.errors import ArtefactError, ConfigError, MmedgeError, ResourceError
from tests.fakes import linear_bundle


@pytest.fixture
def written(tmp_path: Path) -> Path:
    save_bundle(linear_bundle(1), tmp_path / "x.mmedge")
    return tmp_path / "x.mmedge"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def named(folder: Path) -> set[str]:
    return {ref.name for ref in open_bundle(folder).manifest.files} | {MANIFEST}


def fail_at(monkeypatch: pytest.MonkeyPatch, number: int, error: BaseException) -> None:
    """Let the ``number``-th write to the disk fail, after half of it."""
    calls: list[Path] = []
    real = mmedge._files.write_synced

    def write(path: Path, data: bytes, mode: int = 0o666) -> None:
        calls.append(path)
        if len(calls) == number:
            path.write_bytes(data[: len(data) // 2])
            raise error
        real(path, data)

    for module in (mmedge._files, mmedge.bundle):
        monkeypatch.setattr(module, "write_synced", write)


def test_what_is_written_is_what_was_in_memory(tmp_path: Path) -> None:
    bundle = linear_bundle(2)
    saved = save_bundle(bundle, tmp_path / "x.mmedge")
    saved.check()
    assert saved.path == tmp_path / "x.mmedge"
    assert saved.manifest == bundle.manifest
    assert saved.digest == bundle.digest
    assert dict(saved.files) == dict(bundle.files)
    assert names(tmp_path) == {"x.mmedge"}


def test_others_may_read_a_new_bundle(written: Path) -> None:
    assert written.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space"), KeyboardInterrupt()])
def test_a_failed_write_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: BaseException
) -> None:
    fail_at(monkeypatch, number, error)
    with pytest.raises((ResourceError, KeyboardInterrupt)):
        save_bundle(linear_bundle(1), tmp_path / "x.mmedge")
    assert names(tmp_path) == set()


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space"), KeyboardInterrupt()])
def test_a_failed_replacement_leaves_the_old_bundle_and_nothing_else(
    written: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: BaseException
) -> None:
    before = {path.name: path.read_bytes() for path in written.iterdir()}
    fail_at(monkeypatch, number, error)
    with pytest.raises((ResourceError, KeyboardInterrupt)):
        save_bundle(linear_bundle(2), written, replace=True)
    assert {p.name: p.read_bytes() for p in written.iterdir() if p.name != ".lock"} == before


def test_an_interrupt_after_the_manifest_leaves_the_new_bundle_whole(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = mmedge._files.sync_folder

    def sync(folder: Path) -> None:
        real(folder)
        if open_bundle(folder).digest == bundle.digest:
            raise KeyboardInterrupt

    bundle = linear_bundle(2)
    monkeypatch.setattr(mmedge._files, "sync_folder", sync)
    with pytest.raises(KeyboardInterrupt):
        save_bundle(bundle, written, replace=True)
    after = open_bundle(written)
    after.check()
    assert after.digest == bundle.digest


def test_a_later_replacement_clears_what_a_killed_one_left(written: Path) -> None:
    (written / "ant-123456abcdef.onnx").write_bytes(b"x")
    save_bundle(linear_bundle(1), written, replace=True)
    assert names(written) - {".lock"} == named(written)


def test_a_replaced_bundle_keeps_no_old_file_of_ours_and_every_file_of_the_users(
    written: Path,
) -> None:
    old = named(written)
    (written / "notes.txt").write_text("mine")
    (written / ".old.onnx.part").write_text("half")
    (written / "calibration_page-123456abcdef.html").write_text("old")
    (written / "page.html").write_text("mine")
    (written / "notes-123456abcdef.txt").write_text("mine")
    bundle = linear_bundle(3)
    save_bundle(bundle, written, replace=True).check()
    assert open_bundle(written).digest == bundle.digest
    mine = {"notes.txt", "notes-123456abcdef.txt", "page.html"}
    assert names(written) - {".lock"} == named(written) | mine
    assert old - named(written) != set()


def test_the_manifest_is_replaced_last(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real = mmedge._files.write_synced

    def write(path: Path, data: bytes, mode: int = 0o666) -> None:
        order.append(path.name)
        real(path, data)

    monkeypatch.setattr(mmedge._files, "write_synced", write)
    save_bundle(linear_bundle(2), written, replace=True)
    assert order.index(".manifest.json.part") == len(order) - 1
    assert len(order) > 1


def test_a_bundle_may_be_saved_onto_itself(written: Path) -> None:
    before = open_bundle(written).digest
    assert save_bundle(open_bundle(written), written, replace=True).digest == before
    open_bundle(written).check()


def test_a_damaged_file_is_not_copied(written: Path, tmp_path: Path) -> None:
    (graph,) = written.glob("ant-*.onnx")
    graph.write_bytes(b"x" * graph.stat().st_size)
    with pytest.raises(ArtefactError, match="is not the file that the manifest names"):
        save_bundle(open_bundle(written), tmp_path / "y.mmedge")
    assert names(tmp_path) == {"x.mmedge"}


def test_a_damaged_file_is_mended_by_a_replacement(written: Path) -> None:
    (graph,) = written.glob("ant-*.onnx")
    graph.write_bytes(b"x")
    with pytest.raises(ArtefactError):
        open_bundle(written).check()
    save_bundle(linear_bundle(1), written, replace=True).check()


def test_a_link_inside_is_replaced_and_not_followed(written: Path) -> None:
    (graph,) = written.glob("ant-*.onnx")
    content, outside = graph.read_bytes(), written.with_name("outside")
    for theirs in (b"mine", content):
        outside.write_bytes(theirs)
        graph.unlink()
        graph.symlink_to(outside)
        save_bundle(linear_bundle(1), written, replace=True).check()
        assert outside.read_bytes() == theirs


def test_an_existing_bundle_is_kept_without_force(written: Path) -> None:
    before = open_bundle(written).digest
    with pytest.raises(ConfigError, match="exists already; add --force to replace it"):
        save_bundle(linear_bundle(2), written)
    assert open_bundle(written).digest == before


@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path: Path, replace: bool) -> None:
    folder = tmp_path / "x.mmedge"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="exists and is not a bundle"):
        save_bundle(linear_bundle(1), folder, replace=replace)
    assert names(folder) == {"thesis.txt"}


@pytest.mark.parametrize("replace", [False, True])
def test_a_file_or_a_link_is_never_replaced(written: Path, replace: bool) -> None:
    file, link = written.with_name("file.mmedge"), written.with_name("link.mmedge")
    file.write_text("mine")
    link.symlink_to(written)
    for place in (file, link):
        with pytest.raises(ConfigError, match="exists and is not a bundle"):
            check_target(place, replace=replace)


@pytest.mark.parametrize("name", ["x", "x.onnx", "x.mmedge.bak", "x.MMEDGE", ".mmedge"])
def test_another_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"a bundle's name ends in \.mmedge"):
        check_target(tmp_path / name, replace=False)


def test_a_missing_parent_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no/such does not exist; make it first"):
        save_bundle(linear_bundle(1), tmp_path / "no/such/x.mmedge")
    assert names(tmp_path) == set()


def test_only_one_may_write_at_a_time(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patient = filelock.FileLock.acquire

    def impatient(lock: filelock.FileLock, timeout: float) -> Any:
        assert timeout > 0
        return patient(lock, timeout=0.1)

    monkeypatch.setattr(filelock.FileLock, "acquire", impatient)
    before = open_bundle(written).digest
    other = filelock.FileLock(written / ".lock")
    patient(other)
    with pytest.raises(ConfigError, match="another process is writing"):
        save_bundle(linear_bundle(2), written, replace=True)
    other.release()
    assert open_bundle(written).digest == before
    save_bundle(linear_bundle(2), written, replace=True).check()


def test_whoever_holds_the_bundle_already_may_write_it(written: Path) -> None:
    with writing(written):
        save_bundle(linear_bundle(2), written, replace=True)
        other = filelock.FileLock(written / ".lock")
        with pytest.raises(filelock.Timeout):
            other.acquire(timeout=0)
    with writing(written, wait_s=0):
        assert open_bundle(written).digest == linear_bundle(2).digest


@pytest.mark.skipif(sys.platform == "win32", reason="Windows locks otherwise")
@pytest.mark.filterwarnings("ignore:flock not supported:UserWarning")
def test_without_locks_in_the_file_system_one_writes_too_and_the_file_left_behind_is_named(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def missing(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", missing)
    lock = written / ".lock"
    with writing(written, wait_s=0):
        assert str(os.getpid()) in lock.read_text()
        host = lock.read_text().split("\n")[1]
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    lock.write_text(f"{dead.pid}\n{host}\n")  # killed on this machine
    with writing(written, wait_s=1):
        pass
    lock.write_text(f"{dead.pid}\nanother-{host}\n")
    words = r"try again when it is done\. If its machine was switched off, remove .*/\.lock$"
    with pytest.raises(ConfigError, match=words), writing(written, wait_s=0.1):
        pass


def test_whoever_comes_second_with_a_new_bundle_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def overtaken(handle: int) -> None:
        monkeypatch.setattr(os, "fsync", real)
        save_bundle(linear_bundle(2), tmp_path / "x.mmedge")
        real(handle)

    monkeypatch.setattr(os, "fsync", overtaken)
    with pytest.raises(MmedgeError, match="cannot be written: Directory not empty"):
        save_bundle(linear_bundle(1), tmp_path / "x.mmedge")
    assert names(tmp_path) == {"x.mmedge"}
    assert open_bundle(tmp_path / "x.mmedge").manifest.presence == ("ant", "bee")
