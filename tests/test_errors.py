from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mmedge import errors
from mmedge._optional import require
from mmedge.errors import MissingDependencyError, MmedgeError

KINDS = {
    "ArtefactError": (3, ValueError),
    "ConfigError": (2, ValueError),
    "IncompatibleError": (4, RuntimeError),
    "MissingDependencyError": (4, ImportError),
    "MmedgeError": (70, Exception),
    "ProofError": (7, RuntimeError),
    "ResourceError": (6, MemoryError),
    "SourceError": (5, OSError),
}


def test_every_error_has_its_exit_code_in_this_table() -> None:
    assert sorted(KINDS) == errors.__all__


@pytest.mark.parametrize("name", KINDS)
def test_an_error_ends_the_command_line_with_its_code_and_is_of_a_built_in_kind(name: str) -> None:
    kind = getattr(errors, name)
    code, built_in = KINDS[name]
    assert kind.exit_code == code
    assert issubclass(kind, MmedgeError)
    assert issubclass(kind, built_in)
    assert str(kind("what to do next")) == "what to do next"


def test_require_gives_the_module() -> None:
    assert require("json", extra="cpu", why="the test") is sys.modules["json"]


def test_require_names_every_extra_that_brings_a_missing_package() -> None:
    with pytest.raises(MissingDependencyError) as caught:
        require("no_such_package.part", extra="cpu|gpu", why="the backend 'cpu'")
    assert str(caught.value) == (
        "the backend 'cpu' needs the package 'no_such_package', which is not installed. "
        "Install it with: pip install 'mmedge[cpu]' or pip install 'mmedge[gpu]'"
    )


def test_require_lets_a_broken_package_tell_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_inside.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError) as caught:
        require("broken_inside", extra="cpu", why="the test")
    assert not isinstance(caught.value, MmedgeError)
    assert caught.value.name == "no_such_package"
