"""What the compiler has measured: kept, and never a stranger's or another place's."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmedge.engines.cache import EngineCache
from tests.engines.requests import BUILT, PLACE, REQUEST, cache_in

TIMINGS = b"what was measured"


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    """One with an engine, so that the device has a key."""
    cache = cache_in(tmp_path)
    cache.engine(REQUEST, lambda: BUILT)
    cache.keep_timings(TIMINGS, PLACE)
    return cache


def file_of(cache: EngineCache) -> Path:
    return cache.folder / "timings"


def test_what_was_kept_is_given_and_only_this_user_may_read_it(cache: EngineCache) -> None:
    assert cache.timings(PLACE) == TIMINGS
    assert stat.S_IMODE(file_of(cache).stat().st_mode) == 0o600
    cache.keep_timings(b"more", PLACE)
    assert cache.timings(PLACE) == b"more"


@pytest.mark.parametrize("change", [{"version": "10.7"}, {"uuid": "GPU-1"}, {"driver": "560"}])
def test_of_another_place_none_are_given(cache: EngineCache, change: dict[str, Any]) -> None:
    assert cache.timings(replace(PLACE, **change)) == b""


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes(file.read_bytes() + b"x"),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"x" * 500),
        lambda file: file.chmod(0o644),
        lambda file: file.rename(file.with_name("other")),
        lambda file: file.write_bytes(file.read_bytes().replace(b"what", b"that")),
    ],
)
def test_what_is_not_as_it_was_written_is_not_given(
    cache: EngineCache, spoil: Callable[[Path], Any]
) -> None:
    spoil(file_of(cache))
    assert cache.timings(PLACE) == b""


def test_those_of_another_device_are_not_given(cache: EngineCache, tmp_path: Path) -> None:
    other = cache_in(tmp_path / "other")
    other.engine(REQUEST, lambda: BUILT)
    other.keep_timings(TIMINGS, PLACE)
    assert other.timings(PLACE) == TIMINGS
    file_of(cache).write_bytes(file_of(other).read_bytes())
    assert cache.timings(PLACE) == b""


def test_a_disk_that_is_full_costs_the_timings_and_nothing_else(
    cache: EngineCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mmedge.engines.timings.write_whole", full)
    cache.keep_timings(b"more", PLACE)
    assert "timings are not kept: [Errno 28] No space left" in caplog.text
    assert cache.timings(PLACE) == TIMINGS


def test_they_go_when_the_cache_is_cleaned(cache: EngineCache) -> None:
    cache.clean()
    assert [each.name for each in cache.folder.iterdir()] == [".lock"]
