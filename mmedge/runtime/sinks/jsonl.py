"""Predictions, or only events, as lines of JSON in rotated files or on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, get_args

from mmedge.errors import ConfigError
from mmedge.runtime.pipeline.status import Status
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.sinks.lines import What, json_lines
from mmedge.runtime.sinks.rotation import RotatedFile

__all__ = ["JsonLines", "JsonLinesConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonLinesConfig:
    """Where the lines go, and how much room they may take.

    Attributes:
        target: a file, or ``-`` for stdout, which is neither rotated nor synced.
        what: all predictions, or only events.
        max_bytes: a file that would become larger is put aside as ``target.1``.
        files: how many there are at most; together they take ``max_bytes * files``.
        sync_ms: at most so long until a line is on the disk. Until then a power cut
            loses it; a killed process does not.
    """

    target: Path | str
    what: What = "ticks"
    max_bytes: int = 100_000_000
    files: int = 10
    sync_ms: int = 5_000

    def __post_init__(self) -> None:
        if self.what not in get_args(What):
            raise ConfigError(f"what={self.what!r} must be one of {', '.join(get_args(What))}.")
        if self.max_bytes < 4_096:
            raise ConfigError(f"max_bytes={self.max_bytes}: a few lines must fit, so 4096 or more.")
        if not 1 <= self.files <= 1_000:
            raise ConfigError(f"files={self.files} must lie in 1..1000.")
        if self.sync_ms < 0:
            raise ConfigError(f"sync_ms={self.sync_ms} must not be negative (0: at every line).")


class JsonLines:
    """Writes lines. When `emit` returns, what it took survives a kill of the process.

    Args:
        config: where to, and what.
        clock: in nanoseconds.
        on_gone: told when the reader of stdout has gone.

    Raises:
        ConfigError: the file cannot be written, holds something else, or is being
            written by another process.
    """

    name = "jsonl"

    def __init__(
        self,
        config: JsonLinesConfig,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        on_gone: Callable[[], None] | None = None,
    ) -> None:
        self._on_gone = on_gone
        self._what: What = config.what
        self._out: _Disk | _Stream
        if str(config.target) == "-":
            self._out = _Stream(sys.stdout.buffer)
        else:
            self._out = _Disk(config, clock)

    def emit(self, tick: Tick) -> None:
        """Write the prediction, or its events if there are any: all of its lines or none.

        Raises:
            OSError: nothing of it was written; the next one is tried.
        """
        lines = json_lines(tick, self._what)
        try:
            if lines:
                self._out.write(("\n".join(lines) + "\n").encode())
        except BrokenPipeError:
            if self._on_gone is not None:
                self._on_gone()
            raise

    def show(self, status: Status) -> None:
        """Bring older lines to the disk, if it is time."""
        self._out.rest()

    def close(self) -> None:
        """Bring the rest to the disk."""
        self._out.close()


class _Disk:
    def __init__(self, config: JsonLinesConfig, clock: Callable[[], int]) -> None:
        path = Path(config.target)
        self._file = RotatedFile(path, max_bytes=config.max_bytes, files=config.files)
        self._clock = clock
        self._sync_ns = config.sync_ms * 1_000_000
        self._unsynced_since_ns: int | None = None

    def write(self, block: bytes) -> None:
        # Before the new line: where it fails, that line is not written, as is then told.
        self._sync_if_due()
        self._file.append(block)
        if self._unsynced_since_ns is None:
            self._unsynced_since_ns = self._clock()
        if self._sync_ns == 0:
            self._sync_if_due()

    def rest(self) -> None:
        with suppress(OSError):  # tried again, and told, at the next line
            self._sync_if_due()

    def close(self) -> None:
        self._file.close()

    def _sync_if_due(self) -> None:
        since_ns = self._unsynced_since_ns
        if since_ns is not None and self._clock() - since_ns >= self._sync_ns:
            self._file.sync()
            self._unsynced_since_ns = None


class _Stream:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, block: bytes) -> None:
        self._stream.write(block)
        self._stream.flush()

    def rest(self) -> None:
        """Every line is flushed already."""

    def close(self) -> None:
        with suppress(OSError):  # a reader that has gone
            self._stream.flush()
