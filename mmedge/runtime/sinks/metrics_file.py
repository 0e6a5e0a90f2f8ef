"""Metrics in a file that node_exporter's textfile collector reads."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mmedge.errors import ConfigError
from mmedge.runtime.pipeline.status import Status
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.sinks.late import LateError
from mmedge.runtime.sinks.metrics import exposition, metrics_of

__all__ = ["MetricsFile", "MetricsFileConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsFileConfig:
    """Where the file is and how often it is written.

    Attributes:
        path: ends with ``.prom``: node_exporter reads nothing else.
        every_ms: at most so often.
    """

    path: Path
    every_ms: int = 1_000

    def __post_init__(self) -> None:
        if self.path.suffix != ".prom":
            raise ConfigError(f"{self.path}: node_exporter reads only files that end with '.prom'.")
        if not self.path.parent.is_dir():
            raise ConfigError(f"{self.path.parent} is no folder; make it, or name another file.")
        if self.every_ms < 1_000:
            raise ConfigError(f"every_ms={self.every_ms}: at most once a second, so 1000 or more.")


class MetricsFile:
    """Writes the state of the pipeline, whole or not at all.

    The file goes when the pipeline ends, so that its last state is not taken for the
    present; after a kill node_exporter's ``node_textfile_mtime_seconds`` tells its age.
    A full disk is told with the next prediction, and the next write tries again.
    """

    name = "metrics-file"

    def __init__(
        self, config: MetricsFileConfig, *, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._config = config
        self._clock = clock
        self._due_ns = clock()
        self._late = LateError()
        # In the same folder, or it could not be renamed; not .prom, or it would be read.
        self._draft = config.path.with_name(f".{config.path.name}.{os.getpid()}")

    def emit(self, tick: Tick) -> None:
        """Only tell whether the file could be written.

        Raises:
            OSError: it could not; it is tried again.
        """
        self._late.tell()

    def show(self, status: Status) -> None:
        """Write the file, if it is time."""
        now_ns = self._clock()
        if now_ns < self._due_ns:
            return
        self._due_ns = now_ns + self._config.every_ms * 1_000_000
        self._late.keep(lambda: self._write(exposition(metrics_of(status))))

    def close(self) -> None:
        """Take the file away."""
        for path in (self._draft, self._config.path):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _write(self, text: str) -> None:
        self._draft.write_text(text, encoding="utf-8")
        self._draft.replace(self._config.path)
