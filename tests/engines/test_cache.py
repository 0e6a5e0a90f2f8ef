"""Engines that are kept: found again, and never another's, a stranger's or a part."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmedge.engines.request import BUILDER
from mmedge.engines.stored import Built
from mmedge.errors import IncompatibleError
from tests.engines.requests import BUILT, PLACE, REQUEST, Spy, cache_in, flip, request
from tests.engines.test_request import CHANGES


@pytest.fixture
def spy(tmp_path: Path) -> Spy:
    return Spy(cache_in(tmp_path))


def test_an_engine_is_built_once_and_found_again(spy: Spy, tmp_path: Path) -> None:
    spy.ask()
    spy.ask()
    assert spy.built == 1
    assert spy.reasons == ["there is none yet"]
    again = cache_in(tmp_path).engine(REQUEST, pytest.fail)
    assert again.about == {"n": 1}


def test_only_this_user_may_read_or_write_it(spy: Spy) -> None:
    spy.ask()
    assert stat.S_IMODE(spy.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(spy.cache.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_what_changed_is_built_and_gets_its_own(spy: Spy, change: dict[str, Any]) -> None:
    spy.ask()
    spy.ask(request(**change))
    assert spy.built == 2


def test_why_it_is_built_again_is_said(spy: Spy) -> None:
    spy.ask()
    spy.ask(request(version="10.7.0"))
    assert spy.reasons == ["there is none yet", "version is 10.7.0, and was 10.3.0"]


def make_link(file: Path) -> None:
    """The very engine, but at the end of a link."""
    file.rename(file.with_suffix(".other"))
    file.symlink_to(file.with_suffix(".other"))


def make_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "is cut short"),
        (lambda file: file.write_bytes(file.read_bytes()[:25]), "is cut short"),
        (lambda file: file.write_bytes(b""), "is cut short"),
        (lambda file: file.write_bytes(b"x" * 500), "is no engine of this version of mmedge"),
        (lambda file: file.write_bytes(file.read_bytes() + b"x"), "has more in it than was"),
        (lambda file: flip(file, -1), "was changed or damaged after it was written"),
        (lambda file: flip(file, 40), "was not signed with this device's key, or was changed"),
        (lambda file: flip(file, 17), "is cut short|is damaged|was not signed"),
        (lambda file: file.chmod(0o644), r"by others \(its mode is 644\)"),
        (lambda file: file.chmod(0o620), r"by others \(its mode is 620\)"),
        (make_link, "cannot be opened as a plain file"),
        (make_pipe, "is not a plain file"),
    ],
)
def test_what_is_not_as_it_was_written_is_built_again_with_the_reason(
    spy: Spy, spoil: Callable[[Path], Any], reason: str
) -> None:
    spy.ask()
    spoil(spy.file)
    spy.ask()
    spy.ask()
    assert spy.built == 2
    assert len(spy.reasons) == 2
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(spy.reasons[1])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_no_byte_of_a_file_may_be_another_and_none_be_missing(
    tmp_path: Path, data: st.DataObject
) -> None:
    cache = cache_in(tmp_path)
    path = cache.folder / "kept"
    if not path.exists():
        cache.engine(REQUEST, lambda: BUILT)
        (file,) = cache.folder.glob("*.engine")
        path.write_bytes(file.read_bytes())
    (file,) = cache.folder.glob("*.engine")
    true = path.read_bytes()
    position = data.draw(st.integers(0, len(true) - 1))
    if data.draw(st.booleans()):
        false = true[:position]
    else:
        false = bytearray(true)
        false[position] ^= data.draw(st.integers(1, 255))
    file.write_bytes(false)
    file.chmod(0o600)
    with pytest.raises(IncompatibleError):
        cache.find(REQUEST.model_sha256, PLACE, what="graph")
    file.write_bytes(true)
    assert cache.find(REQUEST.model_sha256, PLACE, what="graph") == (REQUEST, BUILT)


def test_an_engine_of_another_device_is_built_again(spy: Spy, tmp_path: Path) -> None:
    theirs = Spy(cache_in(tmp_path / "theirs"))
    theirs.ask()
    spy.cache.folder.mkdir(mode=0o700)
    (spy.cache.folder / theirs.file.name).write_bytes(theirs.file.read_bytes())
    spy.file.chmod(0o600)
    spy.ask()
    assert spy.built == 1
    assert "was not signed with this device's key" in spy.reasons[-1]


def test_an_engine_of_this_device_under_the_name_of_another_is_not_given(spy: Spy) -> None:
    spy.ask()
    other = request(flags={})
    name = f"{other.model_sha256[:16]}-{other.key[:32]}.engine"
    spy.file.rename(spy.file.with_name(name))
    spy.ask(other)
    assert spy.built == 2
    assert "holds another engine than its name says" in spy.reasons[-1]


def test_a_new_key_of_the_device_has_all_built_again(spy: Spy, tmp_path: Path) -> None:
    spy.ask()
    (tmp_path / "state" / "engine.key").chmod(0o644)
    spy.ask()
    assert spy.built == 2
    assert "it is made anew, and engines of before are built again" in spy.reasons[1]
    assert "was not signed with this device's key" in spy.reasons[2]


def test_a_build_that_fails_leaves_nothing(spy: Spy) -> None:
    def fail() -> Built:
        raise IncompatibleError("no such layer")

    with pytest.raises(IncompatibleError, match="no such layer"):
        spy.cache.engine(REQUEST, fail)
    assert spy.cache.entries() == ()
    spy.ask()
    assert spy.built == 1


class TestFinding:
    def find(self, spy: Spy, **changes: Any) -> bytes:
        wanted = request(**changes)
        found, built = spy.cache.find(wanted.model_sha256, wanted.place, what="graph 'camera'")
        assert (found.model_sha256, found.place) == (wanted.model_sha256, wanted.place)
        return built.engine

    def test_what_was_built_is_found_by_the_graphs_file_and_the_place(self, spy: Spy) -> None:
        assert spy.ask(request(flags={"dla_core": 1})) == self.find(spy)

    def test_of_several_the_one_that_was_used_last_is_given(self, spy: Spy) -> None:
        spy.ask(request(plan="one"))
        later = spy.ask(request(plan="other"))
        older, newer = sorted(
            spy.cache.folder.glob("*.engine"), key=lambda f: f.read_bytes() == b""
        )
        os.utime(older, (1, 1))
        os.utime(newer, (2, 2))
        assert self.find(spy) == newer.read_bytes()[-len(later) :]

    def test_none_is_an_error_that_names_the_command(self, spy: Spy) -> None:
        with pytest.raises(IncompatibleError, match="Build it with: mmedge build BUNDLE") as caught:
            self.find(spy)
        assert str(caught.value).startswith("graph 'camera' has no engine for Orin (8.7), driver")
        assert caught.value.exit_code == 4
        with pytest.raises(IncompatibleError, match="mmedge build BUNDLE --rtx, and"):
            self.find(spy, toolkit="tensorrt_rtx")

    @pytest.mark.parametrize(
        "change",
        [
            {"version": "10.7"},
            {"gpu": "Thor"},
            {"capability": (11, 0)},
            {"driver": "1"},
            {"driver": "1", "uuid": "GPU-1"},
            {"toolkit": "tensorrt_rtx"},
        ],
    )
    def test_one_that_was_built_for_another_place_is_not_given(
        self, spy: Spy, change: dict[str, Any]
    ) -> None:
        spy.ask()
        with pytest.raises(IncompatibleError, match="the one that is kept was built for Orin"):
            self.find(spy, **change)

    def test_the_same_disk_in_another_device_of_this_kind_has_none(self, spy: Spy) -> None:
        spy.ask()
        with pytest.raises(IncompatibleError, match="was built for another device of this kind"):
            self.find(spy, uuid="GPU-1")

    def test_what_another_builder_of_ours_has_built_is_not_given(self, spy: Spy) -> None:
        spy.ask(request(builder=BUILDER - 1))
        with pytest.raises(IncompatibleError, match="was built by another version of mmedge"):
            self.find(spy)

    def test_another_graph_whose_hash_begins_the_same_is_not_given(self, spy: Spy) -> None:
        spy.ask()
        with pytest.raises(IncompatibleError, match="has no engine"):
            self.find(spy, model_sha256="ab" * 31 + "00")

    def test_one_that_is_not_to_be_trusted_is_not_given(self, spy: Spy) -> None:
        spy.ask()
        flip(spy.file, -1)
        with pytest.raises(IncompatibleError, match=r"was changed or damaged after.*mmedge build"):
            self.find(spy)

    def test_without_a_key_nothing_is_given_and_none_is_made(
        self, spy: Spy, tmp_path: Path
    ) -> None:
        spy.ask()
        (tmp_path / "state" / "engine.key").unlink()
        with pytest.raises(IncompatibleError, match="this device has no key yet"):
            self.find(spy)
        assert not (tmp_path / "state" / "engine.key").exists()


class TestBounds:
    def test_an_update_leaves_one_engine_of_a_graph(self, spy: Spy) -> None:
        for version in ("10.3", "10.7", "10.13"):
            for driver in ("540", "560"):
                spy.ask(request(version=version, driver=driver))
        (left,) = spy.cache.entries()
        assert left.head is not None
        assert left.head.request == request(version="10.13", driver="560")

    def test_plans_and_gpus_stand_side_by_side(self, spy: Spy) -> None:
        for change in ({}, {"plan": "fp16"}, {"gpu": "Thor"}, {"model_sha256": "00" * 32}):
            spy.ask(request(**change))
        assert len(spy.cache.entries()) == 4

    def test_beyond_the_limit_the_one_used_longest_ago_gives_way(self, tmp_path: Path) -> None:
        big = Built(engine=bytes(1000), about={})
        for number in range(4):
            cache = cache_in(tmp_path)  # each another process
            cache.engine(request(plan=str(number)), lambda: big)
            for entry in cache.entries():  # clocks of file systems are coarse
                assert entry.head is not None
                os.utime(entry.path, (int(entry.head.request.plan),) * 2)
        cache_in(tmp_path).engine(request(plan="0"), pytest.fail)
        cache = cache_in(tmp_path, limit_bytes=7 * entry.bytes // 2)
        cache.engine(request(plan="4"), lambda: big)
        plans = {entry.head and entry.head.request.plan for entry in cache.entries()}
        assert plans == {"0", "3", "4"}  # 1 and 2 went; 0 is the oldest, but was just used

    def test_a_bundle_larger_than_the_limit_keeps_all_that_it_just_built(
        self, tmp_path: Path
    ) -> None:
        cache = cache_in(tmp_path, limit_bytes=10)
        for digit in "123":
            cache.engine(request(model_sha256=digit * 64), lambda: BUILT)
        assert len(cache.entries()) == 3

    def test_what_cannot_be_trusted_and_drafts_go_when_the_next_is_built(self, spy: Spy) -> None:
        spy.ask()
        flip(spy.file, 30)
        draft = spy.cache.folder / ".abc.part"
        draft.write_bytes(b"left by a builder that was killed")
        spy.ask(request(model_sha256="00" * 32))
        assert len(spy.cache.entries()) == 1
        assert not draft.exists()
