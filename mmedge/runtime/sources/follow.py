"""Lines as they are written: from standard input, a pipe, or a file that grows."""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from pathlib import Path

from mmedge.errors import SourceError
from mmedge.runtime.sources.source import Ended

__all__ = ["Followed"]

_POLL_S = 0.1
_CHUNK_BYTES = 65_536


class Followed:
    """Lines of standard input (``-``), a named pipe, or a file, followed as ``tail -F`` does.

    A file may appear later, be cut to nothing, or be replaced by another of its name.
    Standard input ends; a pipe waits for its next writer.

    Args:
        path: which.
        last: of a file that is there already, this many of its last lines are given too.
        longest_bytes: of a line; the rest of a longer one is thrown away.
    """

    def __init__(self, path: str, *, last: int, longest_bytes: int) -> None:
        self._path, self._last, self._longest = path, last, longest_bytes
        self._file: int | None = None
        self._identity: tuple[int, int] | None = None
        self._at = 0
        self._reset()

    def _reset(self) -> None:
        self._lines: list[bytes] = []
        self._partial = b""
        self._skipping = False

    def open(self) -> str:
        """Open it; a file that is not there yet is waited for.

        Returns:
            What it is, for people.

        Raises:
            SourceError: it may not be read, or is a folder.
        """
        self.close()
        self._reset()
        if self._path == "-":
            self._file = _stdin()
            return "standard input"
        if self._open_file() is None:
            return f"waiting for '{self._path}' to appear"
        if self._is_pipe():
            return f"pipe '{self._path}'"
        self._go_to_last_lines()
        return f"following '{self._path}'"

    def _open_file(self) -> int | None:
        # O_NONBLOCK: a pipe opens before anybody writes to it.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            self._file = file = os.open(self._path, flags)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise SourceError(f"cannot read '{self._path}': {exc.strerror}") from exc
        now = os.fstat(file)
        if stat.S_ISDIR(now.st_mode):
            self.close()
            raise SourceError(f"'{self._path}' is a folder; give a file of lines, or - for stdin")
        self._identity, self._at = (now.st_dev, now.st_ino), 0
        return file

    def _is_pipe(self) -> bool:
        return self._file is not None and not stat.S_ISREG(os.fstat(self._file).st_mode)

    def _go_to_last_lines(self) -> None:
        if self._file is None:
            return
        size = os.fstat(self._file).st_size
        back = min(size, (self._longest + 2) * max(self._last, 1))
        os.lseek(self._file, size - back, os.SEEK_SET)
        tail = b""
        while len(tail) < back and (chunk := os.read(self._file, back - len(tail))):
            tail += chunk
        whole, _, self._partial = tail.rpartition(b"\n")
        self._lines = whole.split(b"\n")[-self._last :] if self._last and whole else []
        self._at = size

    def next_line(self) -> bytes | None:
        """Wait for the next line, without its end; ``None`` if none came within 100 ms.

        Raises:
            Ended: standard input has ended.
            SourceError: it can be read no more.
        """
        if not self._lines:
            chunk = self._wait()
            if chunk is None:
                return None
            self._split(chunk)
        return self._lines.pop(0).removesuffix(b"\r") if self._lines else None

    def _split(self, chunk: bytes) -> None:
        *whole, self._partial = (self._partial + chunk).split(b"\n")
        if whole and self._skipping:
            whole, self._skipping = whole[1:], False
        self._lines += [line[: self._longest] for line in whole]
        if self._skipping:
            self._partial = b""
        elif len(self._partial) > self._longest:
            self._lines.append(self._partial[: self._longest])
            self._partial, self._skipping = b"", True

    def _wait(self) -> bytes | None:
        if self._path != "-" and not self._is_pipe():
            return self._wait_for_file()
        if self._file is None:
            raise SourceError(f"'{self._path}' is not open; call open() first")
        try:
            if not _ready(self._file):
                return None
            chunk = os.read(self._file, _CHUNK_BYTES)
        except BlockingIOError:
            return None
        except (OSError, ValueError) as exc:
            raise SourceError(f"'{self._path}' can be read no more: {exc}") from exc
        if chunk or self._path != "-":
            if not chunk:
                time.sleep(_POLL_S)  # a pipe without a writer is always "ready"
            return chunk or None
        if self._partial:
            return b"\n"  # the last line may lack its end
        raise Ended("standard input has ended")

    def _wait_for_file(self) -> bytes | None:
        file = self._open_file() if self._file is None else self._file
        if file is None:
            time.sleep(_POLL_S)
            return None
        try:
            if os.fstat(file).st_size < self._at:
                self._at = os.lseek(file, 0, os.SEEK_SET)
                self._partial, self._skipping = b"", False
            chunk = os.read(file, _CHUNK_BYTES)
        except OSError as exc:
            raise SourceError(f"'{self._path}' can be read no more: {exc.strerror}") from exc
        self._at += len(chunk)
        return chunk or self._look_for_another()

    def _look_for_another(self) -> bytes | None:
        """Go over to a new file of the same name, once the old one is read.

        Returns:
            The end of a last line that had none.
        """
        try:
            now = Path(self._path).stat()
        except OSError:
            now = None  # moved away: the old one may still grow
        if now is None or (now.st_dev, now.st_ino) == self._identity:
            time.sleep(_POLL_S)
            return None
        self.close()
        return b"\n" if self._partial else None

    def close(self) -> None:
        """Close it; standard input stays open, because it is not ours."""
        file, self._file = self._file, None
        if file is not None and self._path != "-":
            os.close(file)


def _stdin() -> int:
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError) as exc:
        raise SourceError("there is no standard input here; give a file or a pipe") from exc


def _ready(file: int) -> bool:
    """Wait 100 ms for something to read. Windows watches no pipes: there, reading waits."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(_POLL_S * 1000))
