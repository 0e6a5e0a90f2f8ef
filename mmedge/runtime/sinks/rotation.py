"""Files of lines, rotated by size: what was written whole stays, and nothing is torn."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from mmedge._closing import Closing
from mmedge._files import sync_folder
from mmedge.errors import ConfigError

__all__ = ["RotatedFile", "repair_tail"]

_FULL = (errno.ENOSPC, errno.EDQUOT)


class RotatedFile(Closing):
    """Appends whole blocks of lines to ``path``; ``path.1`` is the one before, and so on.

    `append` returns when the operating system has the block, so that a killed process loses
    nothing; `sync` brings it to the disk, so that a power cut loses nothing. What could not
    be written whole is cut off again.

    Args:
        path: the file that grows.
        max_bytes: no file becomes larger.
        files: how many there are at most, the growing one included.

    Raises:
        ConfigError: it cannot be opened, holds something else, or another process writes
            to it. A full disk is no such reason: the file is opened when there is room.
    """

    def __init__(self, path: Path, *, max_bytes: int, files: int) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._files = files
        self._handle = -1
        self._size = 0
        try:
            self._open()
        except OSError as exc:
            if exc.errno not in _FULL:
                raise ConfigError(
                    f"cannot write {path}: {exc.strerror}. Name another file."
                ) from exc

    def append(self, block: bytes) -> None:
        """Write a block that ends with a line break; it is there whole or not at all.

        Raises:
            OSError: it is not there: a full disk, a block larger than a file may become.
        """
        if len(block) > self._max_bytes:
            size = f"{len(block)} bytes do not fit into a file of {self._max_bytes}"
            raise OSError(errno.EFBIG, size, str(self.path))
        if self._handle < 0 or self._moved():
            self._reopen()
        if self._size + len(block) > self._max_bytes:
            self._rotate()
        try:
            _write_all(self._handle, block)
        except OSError:
            self._cut()
            raise
        self._size += len(block)

    def sync(self) -> None:
        """Bring to the disk what was written."""
        if self._handle >= 0:
            os.fsync(self._handle)

    def close(self) -> None:
        """Bring the rest to the disk and close; closing twice is fine."""
        if self._handle >= 0:
            handle, self._handle = self._handle, -1
            with suppress(OSError):
                os.fsync(handle)
            os.close(handle)

    def _open(self) -> None:
        self.close()
        # Appending, so that a truncated file is written on at its new end.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        handle = os.open(self.path, flags, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ConfigError(f"{self.path} is no ordinary file. For stdout write '-'.")
            _lock(handle, self.path)
            self._size = repair_tail(handle, self.path)
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle

    def _reopen(self) -> None:
        try:
            self._open()
        except ConfigError as exc:  # at start it ends the program; now it is waited for
            raise OSError(errno.EBUSY, str(exc), str(self.path)) from exc

    def _cut(self) -> None:
        """Cut off what was not written whole; where even that fails, opening again does."""
        try:
            os.ftruncate(self._handle, self._size)
        except OSError:
            self.close()

    def _rotate(self) -> None:
        self.close()
        names = [self.path, *(self._aside(i) for i in range(1, self._files))]
        names[-1].unlink(missing_ok=True)
        for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
            with suppress(FileNotFoundError):
                newer.replace(older)
        surplus = self._files  # there were more, of an earlier configuration
        while self._aside(surplus).exists():
            self._aside(surplus).unlink()
            surplus += 1
        self._reopen()
        sync_folder(self.path.parent)

    def _aside(self, number: int) -> Path:
        return Path(f"{self.path}.{number}")

    def _moved(self) -> bool:
        """Tell whether somebody has moved or deleted the file under our hands."""
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return True
        return not os.path.samestat(there, os.fstat(self._handle))


def repair_tail(handle: int, path: Path) -> int:
    """Cut off the half line that a crash may have left at the end.

    Returns:
        The size then, in bytes.

    Raises:
        ConfigError: the file does not begin like lines of JSON: it is somebody else's.
    """
    size = os.fstat(handle).st_size
    if size == 0:
        return 0
    os.lseek(handle, 0, os.SEEK_SET)
    if os.read(handle, 1) != b"{":
        raise ConfigError(f"{path} exists and holds no lines of JSON. Name another file.")
    end = size
    while end > 0:
        begin = max(0, end - 65_536)
        os.lseek(handle, begin, os.SEEK_SET)
        found = os.read(handle, end - begin).rfind(b"\n")
        if found >= 0:
            end = begin + found + 1
            break
        end = begin
    if end < size:
        os.ftruncate(handle, end)
    return end


def _write_all(handle: int, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _lock(handle: int, path: Path) -> None:
    """Hold the file against a second writer, as long as the handle is open."""
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            told = f"another process writes to {path}. End it, or name another file."
            raise ConfigError(told) from exc
