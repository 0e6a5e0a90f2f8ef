"""The key of this device: what tells engines that were built here from all others."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from mmedge._files import DRAFT, sync_folder, write_synced
from mmedge._folders import user_folder
from mmedge.errors import ConfigError

__all__ = ["KEY_BYTES", "Unfit", "default_key_file", "make_key", "open_plain", "read_key"]

KEY_BYTES = 32
POSIX = os.name == "posix"


class Unfit(Exception):  # noqa: N818  (it is no error: what is unfit is made anew)
    """A file that is not to be trusted; its text says why."""


class _Missing(Unfit):
    """There is no file."""


def default_key_file() -> Path:
    """Give where the key is: in the user's folder for state, which is not the cache's."""
    return user_folder("XDG_STATE_HOME", ".local/state") / "mmedge" / "engine.key"


def read_key(file: Path) -> bytes:
    """Read the key.

    Raises:
        Unfit: there is none, or others may know it.
    """
    try:
        handle = open_plain(file)
    except FileNotFoundError:
        raise _Missing("this device has no key yet") from None
    with os.fdopen(handle, "rb") as opened:
        key = opened.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise Unfit(f"the key of this device ({file}) has {len(key)} bytes, not {KEY_BYTES}")
    return key


def make_key(file: Path, on_reason: Callable[[str], None]) -> bytes:
    """Read the key, and make one first where there is none that may be trusted.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        return read_key(file)
    except _Missing:
        replace = False  # whoever makes one meanwhile is right
    except Unfit as exc:
        on_reason(f"{exc}: it is made anew, and engines of before are built again")
        replace = True
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _create(file, secrets.token_bytes(KEY_BYTES), replace=replace)
        return read_key(file)
    except Unfit as exc:
        raise ConfigError(
            f"{exc}, though it was just made. Set XDG_STATE_HOME to a folder of this user's, on a "
            "file system that keeps permissions."
        ) from exc
    except OSError as exc:
        raise ConfigError(
            f"the key of this device cannot be written to {file} ({exc.strerror}). Set "
            "XDG_STATE_HOME to a folder of this user's."
        ) from exc


def _create(file: Path, key: bytes, *, replace: bool) -> None:
    """Write the key whole: in the place of what is there, or only where nothing is."""
    # A draft of one's own: caches with locks of their own may share the key.
    draft = file.with_name(f".{file.name}-{secrets.token_hex(8)}{DRAFT}")
    try:
        write_synced(draft, key, mode=0o600)
        if replace:
            draft.replace(file)
        else:
            file.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(file.parent)


def open_plain(file: Path) -> int:
    """Open a file for reading that is this user's alone.

    Raises:
        FileNotFoundError: there is none.
        Unfit: it is no plain file, somebody else's, or others may read or write it.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(file, flags | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise
    except NotADirectoryError as exc:
        raise FileNotFoundError(*exc.args) from exc
    except OSError as exc:
        raise Unfit(f"{file} cannot be opened as a plain file ({exc.strerror})") from exc
    if complaint := _complaint(os.fstat(handle)):
        os.close(handle)
        raise Unfit(f"{file} {complaint}")
    return handle


def _complaint(status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "is not a plain file"
    if POSIX and status.st_uid != os.geteuid():
        return f"belongs to the user {status.st_uid}"
    if POSIX and status.st_mode & 0o077:
        return f"may be read or written by others (its mode is {stat.S_IMODE(status.st_mode):o})"
    return ""
