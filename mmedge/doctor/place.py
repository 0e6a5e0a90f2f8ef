"""Where the doctor looks: this machine, or a folder that stands for one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Place", "glob"]

_MOST_BYTES = 8 * 2**20  # dpkg's status is the largest that is read


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A machine as its files, its environment and its Python show it.

    Attributes:
        root: of the file system.
        environment: variables.
        path: where Python finds packages, in its order.
        python: the interpreter that packages are tried with.
        venv: folder of its virtual environment; empty for a Python without one.
        cache: folder of the engines; ``None`` for the user's.
        key_file: what they are signed with; ``None`` for the user's.
    """

    root: Path = Path("/")
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    path: tuple[str, ...] = field(default_factory=lambda: tuple(sys.path))
    python: str = sys.executable
    venv: str = sys.prefix if sys.prefix != sys.base_prefix else ""
    cache: Path | None = None
    key_file: Path | None = None

    def read(self, name: str) -> str:
        """Read a file below the root; empty if it is not there, or not ours to read."""
        try:
            with (self.root / name).open(encoding="utf-8", errors="replace") as file:
                return file.read(_MOST_BYTES).strip()
        except OSError:
            return ""

    def found(self, *patterns: str) -> Iterator[Path]:
        """Give the files below the root that fit a pattern, in order."""
        for pattern in patterns:
            yield from glob(self.root, pattern)

    def shown(self, path: Path) -> str:
        """Name a file as the machine itself would."""
        try:
            return f"/{path.relative_to(self.root)}"
        except ValueError:
            return str(path)


def glob(folder: Path, pattern: str) -> tuple[Path, ...]:
    """Give what fits a pattern, in order; nothing where the folder cannot be read."""
    try:
        return tuple(sorted(folder.glob(pattern)))
    except OSError:
        return ()
