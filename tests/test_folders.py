"""Where a user's cache is."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmedge._folders import cache_folder, user_folder
from mmedge.errors import ConfigError


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "/home/ann/.cache/mmedge"),
        ({"XDG_CACHE_HOME": "/fast"}, "/fast/mmedge"),
        ({"XDG_CACHE_HOME": "not/absolute"}, "/home/ann/.cache/mmedge"),
        ({"MMEDGE_CACHE": "/here", "XDG_CACHE_HOME": "/fast"}, "/here"),
    ],
)
def test_the_cache_is_where_the_user_says_or_in_the_home(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    for name in ("MMEDGE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/ann")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(ConfigError, match="no home folder; set HOME or XDG_STATE_HOME"):
        user_folder("XDG_STATE_HOME", ".local/state")
