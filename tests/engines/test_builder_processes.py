"""Builders in processes of their own: several at once, and killed at any moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mmedge.errors import IncompatibleError
from tests.engines.builder_process import ENGINE, MOMENTS
from tests.engines.requests import PLACE, REQUEST, cache_in

ROOT = Path(__file__).resolve().parents[2]
WAITS = "another process builds engines; this one waits for it\n"


def start(folder: Path, moment: str = "nowhere", plan: str = REQUEST.plan) -> subprocess.Popen[str]:
    program = [sys.executable, "-m", "tests.engines.builder_process"]
    arguments = [*program, str(folder), str(folder / "builds"), moment, plan]
    return subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> list[str]:
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return said.splitlines()


def test_of_several_at_once_exactly_one_builds_and_all_get_the_engine(tmp_path: Path) -> None:
    said = [finish(process) for process in [start(tmp_path) for _ in range(3)]]
    assert [lines[-1] for lines in said] == ["right"] * 3
    assert (tmp_path / "builds").read_bytes() == b"."
    assert sum("there is none yet" in lines for lines in said) == 1


def test_of_each_engine_that_is_asked_for_at_once_one_is_built(tmp_path: Path) -> None:
    plans = ("int8", "fp16") * 2
    said = [finish(process) for process in [start(tmp_path, plan=plan) for plan in plans]]
    assert [lines[-1] for lines in said] == ["right"] * 4
    assert (tmp_path / "builds").read_bytes() == b".."
    heads = [entry.head for entry in cache_in(tmp_path).entries()]
    assert {head and head.request.plan for head in heads} == {"int8", "fp16"}
    assert len(heads) == 2


def test_who_asks_for_another_engine_waits_too_for_there_is_one_graph_in_memory(
    tmp_path: Path,
) -> None:
    first = start(tmp_path, "building", plan="int8")
    assert first.stdout is not None
    assert [first.stdout.readline() for _ in range(2)] == ["there is none yet\n", "here\n"]
    second = start(tmp_path, plan="fp16")
    assert second.stdout is not None
    assert second.stdout.readline() == WAITS
    assert (tmp_path / "builds").read_bytes() == b"."
    first.kill()
    first.communicate()
    assert finish(second)[-1] == "right"


def test_who_waits_for_a_builder_that_is_killed_builds(tmp_path: Path) -> None:
    first = start(tmp_path, "building")
    assert first.stdout is not None
    assert [first.stdout.readline() for _ in range(2)] == ["there is none yet\n", "here\n"]
    second = start(tmp_path)
    assert second.stdout is not None
    assert second.stdout.readline() == WAITS
    first.kill()
    first.communicate()
    assert finish(second)[-1] == "right"
    assert (tmp_path / "builds").read_bytes() == b".."


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_builder_that_is_killed_leaves_a_whole_engine_or_none(
    tmp_path: Path, moment: str
) -> None:
    process = start(tmp_path, moment)
    assert process.stdout is not None
    assert any(line == "here\n" for line in process.stdout)
    process.kill()
    process.communicate()
    cache = cache_in(tmp_path)
    whole = moment in ("engine renamed", "tidied")
    try:
        assert cache.find(REQUEST.model_sha256, PLACE, what="graph")[1].engine == ENGINE
        assert whole
    except IncompatibleError:
        assert not whole
    assert finish(start(tmp_path))[-1] == "right"
    begun = moment not in ("key drafted", "locked")
    assert (tmp_path / "builds").read_bytes() == (b".." if begun and not whole else b".")
    assert cache.find(REQUEST.model_sha256, PLACE, what="graph")[1].engine == ENGINE
    left = [each.name for each in cache.folder.iterdir() if each.suffix != ".engine"]
    assert left == [".lock"]
