"""Find the user's recipe, import it, call it; say what is wrong on which of their lines."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

from mmedge.errors import ConfigError, MmedgeError
from mmedge.export.recipe import Recipe
from mmedge.export.theirs import one_line

__all__ = ["load_recipe"]


def load_recipe(where: str) -> Recipe:
    """Find ``path.py:name`` or ``package.module:name`` and call it.

    Raises:
        ConfigError: it is not found, is not callable, fails, or returns something else.
    """
    place, colon, name = where.rpartition(":")
    if not colon or not place or not name:
        raise ConfigError(
            f"the recipe {where!r} is not of the form FILE.py:FUNCTION or "
            "PACKAGE.MODULE:FUNCTION, for example train/model.py:recipe"
        )
    if not place.endswith(".py") and not re.fullmatch(r"\w+(\.\w+)*", place):
        raise ConfigError(
            f"{place!r} is neither a file that ends in .py nor a PACKAGE.MODULE; did you mean "
            f"{place}.py:{name}?"
        )
    _make_importable(place)
    module = _import(place)
    recipe = _call(module, place, name)
    if not isinstance(recipe, Recipe):
        raise ConfigError(
            f"recipe {where} returned a {type(recipe).__name__}; it has to return "
            "mmedge.export.Recipe(modalities=..., encoders=..., fusion=..., tasks=...)"
        )
    file = getattr(module, "__file__", None)
    folder = Path(file).absolute().parent if file else Path.cwd()
    return Recipe(**{**vars(recipe), "folder": folder})


def _make_importable(place: str) -> None:
    """Let a recipe import its neighbours, and from the current folder, as python would.

    The folders stay on the path: a forward pass may import as late as when it is traced.
    """
    folders = [str(Path.cwd())]
    if place.endswith(".py"):
        folders.insert(0, str(Path(place).absolute().parent))
    for folder in reversed(folders):
        if folder in sys.path:
            sys.path.remove(folder)
        sys.path.insert(0, folder)


def _call(module: ModuleType, place: str, name: str) -> object:
    function = getattr(module, name, None)
    if not callable(function):
        own = vars(module).items()
        known = [
            key
            for key, value in own
            if callable(value) and key[0] != "_" and value.__module__ == module.__name__
        ]
        raise ConfigError(
            f"{place} has no function {name!r}; it has {', '.join(known) or 'no function at all'}"
        )
    try:
        return function()
    except MmedgeError:
        raise
    except (Exception, SystemExit) as exc:
        raise ConfigError(f"recipe {place}:{name} failed: {one_line(exc)}") from exc


def _import(place: str) -> ModuleType:
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        return _import_file(Path(place))
    except MmedgeError:
        raise
    except (Exception, SystemExit) as exc:  # a script that calls its main() and exits
        hint = ""
        if "relative import" in str(exc):
            hint = ". With relative imports, name the recipe PACKAGE.MODULE:FUNCTION"
        raise ConfigError(f"{place} cannot be imported: {one_line(exc)}{hint}") from exc


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"there is no recipe file {path}")
    # A name of its own: two files of the same name must not shadow each other.
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    name = f"mmedge_recipe_{path.stem}_{digest[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
