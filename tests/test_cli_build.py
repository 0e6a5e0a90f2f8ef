"""``mmedge build`` on a machine without a driver, in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mmedge import engines
from mmedge.bundle import Bundle
from mmedge.engines.building import BuildReport
from mmedge.runtime.measured import find_record
from tests.engines.requests import BUILT, REQUEST

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "mmedge/demo/digits.mmedge"
Run = Callable[..., tuple[int, str, str]]


def build(
    *arguments: object, python: str = sys.executable, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-m", "mmedge", "build", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def has_driver() -> bool:
    from mmedge.engines import probe
    from mmedge.errors import IncompatibleError

    try:
        probe()
    except IncompatibleError:
        return False
    return True


needs_no_driver = pytest.mark.skipif("has_driver()", reason="this machine has a driver")


@needs_no_driver
def test_without_a_driver_build_ends_with_one_line_and_4() -> None:
    done = build(DEMO)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("mmedge: there is no NVIDIA driver here")
    assert done.stderr.count("\n") == 1


@needs_no_driver
def test_a_tensorrt_that_would_end_the_process_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "tensorrt.py").write_text("import os\nos.abort()\n")
    done = build(DEMO, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MMEDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "cache" / "engines"


def test_what_is_kept_is_listed_and_removed(mmedge: Run, own_cache: Path) -> None:
    from mmedge.engines.cache import EngineCache

    assert mmedge("build", "--list")[1].endswith(f"0 engines, 0.00 MB, in {own_cache}\n")
    EngineCache().engine(REQUEST, lambda: BUILT)
    code, out, _ = mmedge("build", "--list")
    assert code == 0
    assert "camera, plan int8, for Orin (8.7), driver 540.4.0, CUDA 12.6, tensorrt 10.3.0" in out
    engine = json.loads(mmedge("build", "--list", "--json")[1])["engines"][0]
    assert engine["request"]["graph"] == "camera"
    assert "1 engines" in mmedge("build", "--clean")[1]
    assert list(own_cache.glob("*.engine")) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "which bundle?"),
        (("--list", "--clean"), "stands alone"),
        ((DEMO, "--list"), "stands alone"),
        ((DEMO, "--ahead-of-time", "sm87", "-o", "x"), "A Jetson builds its own engines"),
        ((DEMO, "--ahead-of-time", "sm86"), "give out"),
        ((DEMO, "-o", "x"), "name the GPU"),
        ((DEMO, "--dla", "0"), "give max_batch=1"),
        ((DEMO, "--plan", "int8"), "no plan 'int8'"),
        (("absent.mmedge",), "there is no bundle"),
    ],
)
def test_what_cannot_be_meant_ends_with_2(
    mmedge: Run, arguments: tuple[object, ...], words: str
) -> None:
    code, out, err = mmedge("build", *arguments)
    assert (code, out) == (2, "")
    assert words in err


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("elsewhere", [False, True])
def test_after_engines_were_built_for_here_the_next_start_measures_anew(
    mmedge: Run, demo: Bundle, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    assert mmedge("bench", DEMO, "--first-run")[0] == 0
    assert find_record(demo)[0] is not None
    report = BuildReport(plan="fp32", why="", where="x", ahead_of_time=elsewhere, engines=())
    monkeypatch.setattr(engines, "build_engines", lambda *_, **__: report)
    assert mmedge("build", DEMO)[0] == 0
    assert (find_record(demo)[0] is not None) == elsewhere
