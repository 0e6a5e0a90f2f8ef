"""Where on this machine a user's files are that can be made again."""

from __future__ import annotations

import os
from pathlib import Path

from mmedge.errors import ConfigError

__all__ = ["cache_folder", "user_folder"]


def cache_folder() -> Path:
    """Give ``$MMEDGE_CACHE``, else mmedge's folder in the user's cache; it may not exist yet.

    Raises:
        ConfigError: the user has no home.
    """
    named = os.environ.get("MMEDGE_CACHE", "")
    if named:
        return Path(named).absolute()
    return user_folder("XDG_CACHE_HOME", ".cache") / "mmedge"


def user_folder(variable: str, otherwise: str) -> Path:
    """Give a folder of the user's (XDG Base Directory Specification).

    Args:
        variable: of the environment, which may name it.
        otherwise: where it is in the user's home.

    Raises:
        ConfigError: the user has no home.
    """
    named = os.environ.get(variable, "")
    if Path(named).is_absolute():  # the specification says to ignore others
        return Path(named)
    try:
        return Path.home() / otherwise
    except RuntimeError as exc:
        raise ConfigError(f"this user has no home folder; set HOME or {variable}") from exc
