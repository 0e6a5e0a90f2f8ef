"""One builder at a time in a folder, and what the system refuses in words about the cache."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mmedge.errors import ConfigError, ResourceError

__all__ = ["alone", "writing"]

_LOCK = ".lock"
_POSIX = os.name == "posix"
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextmanager
def alone(folder: Path, on_wait: Callable[[str], None] | None) -> Iterator[None]:
    """Hold the folder's lock, and make the folder first if it is not there.

    The system gives the lock back when its holder ends, however it does.

    Args:
        folder: of the cache.
        on_wait: told that another holds it, and then it is waited for; ``None`` to refuse.

    Raises:
        ConfigError: the folder cannot be written or locked, others may write it, or another
            process holds the lock and is not waited for.
        ResourceError: the disk is full.
    """
    from filelock import FileLock, Timeout

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _check_folder(folder)
        # What it falls back to stays behind when its holder is killed, and keeps out nobody else.
        lock = FileLock(folder / _LOCK, mode=0o600, fallback_to_soft=False)
        try:
            lock.acquire(timeout=0)
        except Timeout as exc:
            if on_wait is None:
                raise ConfigError(
                    f"another process builds engines in {folder}; try again when it is done"
                ) from exc
            on_wait("another process builds engines; this one waits for it")
            lock.acquire(timeout=-1)
        except OSError as exc:
            if exc.errno not in _NO_LOCKS:
                raise
            raise ConfigError(
                f"{folder} is on a file system without locks. Set MMEDGE_CACHE to a folder on a "
                "local disk."
            ) from exc
    try:
        yield
    finally:
        lock.release()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what the system says of files into what to do about the cache.

    Raises:
        ConfigError: the folder cannot be written.
        ResourceError: its disk is full.
    """
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(
                f"the disk of {folder} is full. Make room, or set MMEDGE_CACHE to a folder on "
                "another."
            ) from exc
        raise ConfigError(
            f"engines cannot be kept in {folder} ({exc.strerror or exc}). Set MMEDGE_CACHE to a "
            "folder that this user may write."
        ) from exc


def _check_folder(folder: Path) -> None:
    status = folder.stat()
    if _POSIX and (status.st_uid != os.geteuid() or status.st_mode & 0o022):
        raise ConfigError(
            f"{folder} is another user's, or others may write it (its mode is "
            f"{stat.S_IMODE(status.st_mode):o}). Make it yours alone, with chmod 700, or set "
            "MMEDGE_CACHE to another folder."
        )
