"""Writes a page or a picture where the user wants it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mmedge._files import file_errors, write_whole
from mmedge.errors import ConfigError

__all__ = ["check_page", "write_page"]


def check_page(path: Path, *, what: str = "a report", suffix: str = ".html") -> None:
    """Refuse a place where a page could not be written, before the work is done.

    Raises:
        ConfigError: wrong suffix, no parent folder, something else is there, or the system
            does not let us write.
    """
    if path.suffix != suffix:
        raise ConfigError(f"{what}'s name ends in {suffix}, not {path.name!r}")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"the folder {folder} does not exist; make it first")
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} exists and is not a file; choose another name")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as exc:
        raise ConfigError(f"{path} cannot be written: {exc.strerror or exc}") from exc


def write_page(path: Path, page: str) -> None:
    """Write a page: whole, or not at all.

    Raises:
        ConfigError: the system does not let us write.
        ResourceError: the disk is full.
    """
    with file_errors(path):
        write_whole(path, page.encode())
