"""The settings' file: found, read, checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mmedge.errors import ConfigError

__all__ = ["Settings", "check", "make", "read", "refuse"]

_MOST_BYTES = 1_000_000


class Settings(BaseModel):
    """Some of a file's settings, with their defaults; the others do not count."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


_Model = TypeVar("_Model", bound=BaseModel)


def read(path: Path, part: str) -> tuple[Path, dict[str, Any]]:
    """Read the file's settings, those that are null left out."""
    if path.is_dir():
        names = ("preprocessor_config.json", "processor_config.json")
        path = next((path / name for name in names if (path / name).is_file()), path / names[0])
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{path} is larger than {_MOST_BYTES} bytes: no such file is")
        given = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror}; give the model's folder") from exc
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ConfigError(f"{path} is not JSON: {exc}") from exc
    if isinstance(given, dict) and isinstance(given.get(part), dict):
        given = given[part]  # a processor_config.json holds several
    if not isinstance(given, dict):
        raise ConfigError(f"{path} holds no settings, but a {type(given).__name__}")
    return path, _without_null(given)


def _without_null(given: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _without_null(value) if isinstance(value, dict) else value
        for name, value in given.items()
        if value is not None
    }


def check(path: Path, settings: type[_Model], given: Mapping[str, Any]) -> _Model:
    """Check the settings that count; a wrong one is a ``ConfigError``."""
    try:
        return settings.model_validate(given)
    except ValidationError as exc:
        raise ConfigError(f"{path}: {_first(exc)}") from exc


def make(path: Path, spec: type[_Model], fields: Mapping[str, Any]) -> _Model:
    """Make a specification of them; what it cannot say is a ``ConfigError``."""
    try:
        return spec.model_validate(fields)
    except ValidationError as exc:
        raise ConfigError(
            f"{path} asks for what mmedge.{spec.__name__} is not: {_first(exc)}"
        ) from exc


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, found['loc'])) or 'together'}: {found['msg']}"


def refuse(path: Path, why: str, spec: type[BaseModel]) -> NoReturn:
    """Refuse the file, with the reason and the way on."""
    raise ConfigError(
        f"{path}: {why}. Say yourself what the encoder sees, with mmedge.{spec.__name__}(...), or "
        "give the recipe a front-end of your own"
    )
