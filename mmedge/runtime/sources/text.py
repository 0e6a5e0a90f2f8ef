"""Texts, one a line: from standard input, a pipe, or a file that grows."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import ClassVar

from mmedge.errors import ConfigError
from mmedge.runtime.samples import Line, SampleKind
from mmedge.runtime.sources.follow import Followed
from mmedge.runtime.sources.source import ENDLESS_MS

__all__ = ["TextConfig", "TextSource"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig:
    """Where texts come from.

    Attributes:
        path: ``-`` for standard input, else a file or a named pipe. Of a file that is there
            already, the last line holds from the start.
        longest_chars: what is longer is cut, and counted.
    """

    path: str = "-"
    longest_chars: int = 4_096

    def __post_init__(self) -> None:
        if not self.path:
            raise ConfigError("path=''; give a file of lines, or - for standard input")
        if not 1 <= self.longest_chars <= 1_000_000:
            raise ConfigError(f"longest_chars={self.longest_chars} must lie in 1..1000000")


class TextSource:
    """Lines of UTF-8; each holds until the next, and an empty one says that none holds.

    A line's time is that of its arrival. Those that were too long are counted in ``cut``.
    """

    kinds: ClassVar[tuple[SampleKind, ...]] = ("text",)

    def __init__(self, config: TextConfig) -> None:
        self.name = "text from " + ("standard input" if config.path == "-" else config.path)
        self.patience_ms = ENDLESS_MS
        self._longest = config.longest_chars
        self.cut = 0
        # UTF-8 has up to four bytes per character; with one more, too long can be told.
        self._lines = Followed(config.path, last=1, longest_bytes=4 * config.longest_chars + 4)

    def open(self) -> str:
        """Open it; see `Source`."""
        return self._lines.open()

    def read(self) -> Line | None:
        """Wait for the next line; see `Source`."""
        line = self._lines.next_line()
        if line is None:
            return None
        text = line.decode("utf-8", "replace").removeprefix("\ufeff").strip()
        if len(text) > self._longest:
            text = text[: self._longest]
            self.cut += 1
            _log.warning("%s: a line has more than %d characters", self.name, self._longest)
        return Line(time.monotonic_ns(), text)

    def close(self) -> None:
        """Close it; see `Source`."""
        self._lines.close()
