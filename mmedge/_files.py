"""Files that are there whole or not at all, and what the system refuses of them in our words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmedge.errors import ConfigError, ResourceError

__all__ = ["DRAFT", "file_errors", "sync_folder", "write_synced", "write_whole"]

DRAFT = ".part"
"""What the name of a file ends in while it is written."""


@contextmanager
def file_errors(path: Path, advice: str = "") -> Iterator[None]:
    """Turn what the system says of writing a file into an error of ours.

    Args:
        path: what is written, for the message.
        advice: what to do about it, as a sentence.

    Raises:
        ConfigError: the system does not let us write.
        ResourceError: the disk is full.
    """
    try:
        yield
    except OSError as exc:
        full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
        words = f"{path} cannot be written: {exc.strerror or exc}"
        raise (ResourceError if full else ConfigError)(
            f"{words}. {advice}" if advice else words
        ) from exc


def write_whole(path: Path, *parts: bytes, mode: int = 0o666) -> None:
    """Write a file so that its name holds the old content or the new, never a part.

    Args:
        path: the file.
        parts: its content, one after the other.
        mode: its permissions, less the process's umask.

    Raises:
        OSError: the system does not let us.
    """
    draft = path.with_name(f".{path.name}{DRAFT}")
    try:
        write_synced(draft, *parts, mode=mode)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_synced(path: Path, *parts: bytes, mode: int = 0o666) -> None:
    """Write a file, and have it outlive a power cut."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags | getattr(os, "O_CLOEXEC", 0), mode), "wb") as file:
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have a new name outlive a power cut."""
    if os.name != "posix":  # Windows cannot open folders, and needs no flush for a rename
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
