"""Where the server's token comes from."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mmedge.errors import ConfigError

__all__ = ["TOKEN_VARIABLE", "Token", "find_token"]

TOKEN_VARIABLE = "MMEDGE_HTTP_TOKEN"


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and whether somebody has to be told of it.

    Attributes:
        value: never logged; the command line tells it once on stderr if it was ``made``.
        origin: the file or the environment variable that it was in, or made just now.
    """

    value: str = field(repr=False)
    origin: Literal["file", "environment", "made"]


def find_token(environ: Mapping[str, str], file: Path | None = None) -> Token:
    """Take the token from a file, else from the environment, else make one.

    Args:
        environ: where ``MMEDGE_HTTP_TOKEN`` may be; ``os.environ``.
        file: holds the token and nothing else.

    Raises:
        ConfigError: the file cannot be read, or it is empty.
    """
    if file is not None:
        try:
            value = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigError(f"cannot read the token from {file}: {exc}.") from exc
        if not value:
            raise ConfigError(f"{file} is empty; the token was expected in it.")
        return Token(value, "file")
    if environ.get(TOKEN_VARIABLE):
        return Token(environ[TOKEN_VARIABLE], "environment")
    return Token(secrets.token_urlsafe(24), "made")
