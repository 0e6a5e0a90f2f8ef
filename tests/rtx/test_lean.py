"""With TensorRT's lean runtime installed, which ends the process of who touches it undriven."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmedge.engines import probe
from mmedge.errors import IncompatibleError
from tests.rtx.bindings import ROOT

pytestmark = [pytest.mark.rtx, pytest.mark.timeout(300)]

DEMO = ROOT / "mmedge/demo/digits.mmedge"
PARTS = ("", "-cu13", "-cu13-libs", "-cu13-bindings")


def run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def lean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the lean runtime, also under the name of the whole TensorRT."""
    try:
        probe()
    except IncompatibleError:
        pass
    else:
        pytest.skip("this machine has a driver, with which nothing ends")
    folder = tmp_path_factory.mktemp("lean")
    packages = [f"tensorrt-lean{part}==11.4.0.106" for part in PARTS]
    done = run(folder, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, *packages)
    if done.returncode != 0:
        pytest.skip(f"pip cannot install tensorrt-lean (46 MB): {done.stderr.strip()[-200:]}")
    (folder / "tensorrt.py").write_text("from tensorrt_lean import *\n")
    return folder


@pytest.mark.parametrize("name", ["tensorrt_lean", "tensorrt"])
def test_it_does_end_the_process_of_who_touches_it(lean: Path, name: str) -> None:
    done = run(lean, "-c", f"import {name} as trt; trt.Runtime(trt.Logger())")
    assert done.returncode == -signal.SIGSEGV


@pytest.mark.parametrize(
    "command",
    [
        ("build", DEMO),
        ("verify", DEMO, "--backend", "tensorrt"),
        ("serve", DEMO, "--backend", "tensorrt", "--camera", ROOT / "mmedge/demo/clip.mkv"),
    ],
    ids=lambda command: command[0],
)
def test_no_command_touches_it(lean: Path, command: tuple[object, ...]) -> None:
    done = run(lean, "-m", "mmedge", *command)
    assert (done.returncode, done.stdout) == (4, "")
    assert "there is no NVIDIA driver here" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_doctor_does_not_touch_it(lean: Path) -> None:
    done = run(lean, "-m", "mmedge", "doctor", "--json")
    assert done.returncode >= 0, done.stderr
    assert "libcuda" in done.stdout
