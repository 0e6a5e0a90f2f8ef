"""The key of a device: made once, known to nobody else."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from mmedge.engines.device_key import Unfit, default_key_file, make_key, read_key
from mmedge.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "mmedge" / "engine.key"


def silent(reason: str) -> None:
    raise AssertionError(f"nothing was to be said, but was: {reason}")


def test_a_key_is_made_once_and_only_this_user_may_read_it(file: Path) -> None:
    key = make_key(file, silent)
    assert len(key) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert make_key(file, silent) == read_key(file) == key
    assert [each.name for each in file.parent.iterdir()] == ["engine.key"]


def test_two_devices_have_different_keys(tmp_path: Path) -> None:
    assert make_key(tmp_path / "one", silent) != make_key(tmp_path / "other", silent)


def test_who_comes_at_once_gets_the_same_key(file: Path) -> None:
    keys: list[bytes] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        keys.append(make_key(file, silent))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o602])
def test_a_key_that_others_may_know_is_made_anew_and_that_is_said(file: Path, mode: int) -> None:
    before = make_key(file, silent)
    file.chmod(mode)
    with pytest.raises(Unfit, match=f"by others .its mode is {mode:o}"):
        read_key(file)
    said: list[str] = []
    assert make_key(file, said.append) != before
    assert len(said) == 1
    assert said[0].endswith("it is made anew, and engines of before are built again")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_is_made_anew(file: Path, length: int) -> None:
    make_key(file, silent)
    file.write_bytes(bytes(length))
    with pytest.raises(Unfit, match=f"has {length} bytes, not 32"):
        read_key(file)
    assert len(make_key(file, lambda _: None)) == 32


def test_a_link_is_no_key_and_what_it_leads_to_is_left_alone(file: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_bytes(bytes(32))
    theirs.chmod(0o600)
    file.parent.mkdir(parents=True)
    file.symlink_to(theirs)
    with pytest.raises(Unfit, match="cannot be opened as a plain file"):
        read_key(file)
    assert make_key(file, lambda _: None) != bytes(32)
    assert not file.is_symlink()
    assert theirs.read_bytes() == bytes(32)


def test_a_key_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder would be")
    with pytest.raises(ConfigError, match="Set XDG_STATE_HOME to a folder of this user's"):
        make_key(tmp_path / "state" / "engine.key", silent)


def test_the_key_is_in_the_folder_for_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/var/lib/me")
    assert default_key_file() == Path("/var/lib/me/mmedge/engine.key")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")  # which the specification ignores
    monkeypatch.setenv("HOME", "/home/me")
    assert default_key_file() == Path("/home/me/.local/state/mmedge/engine.key")
