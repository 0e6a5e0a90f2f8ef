"""NVIDIA's real Python bindings of several TensorRT versions, over libraries that do nothing.

The bindings are small wheels of their own. They ask their libraries for some ten C functions
when they are imported, and for nothing else until an object is made: so their names, and how a
class of theirs is derived from, can be tried where TensorRT itself cannot be installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WHEELS = {
    "10.3": "tensorrt-cu12-bindings==10.3.0",  # JetPack 6
    "10.7": "tensorrt-cu12-bindings==10.7.0",  # its add-on
    "10.13": "tensorrt-cu12-bindings==10.13.3.9.post1",  # JetPack 7
    "10.16": "tensorrt-cu13-bindings==10.16.1.11",
    "11.4": "tensorrt-cu13-bindings==11.4.0.106",
}
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
FUNCTIONS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)


def fetch_bindings(version: str, folder: Path) -> Path:
    """Download and unpack the bindings of a version, or skip."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
         "--only-binary", ":all:", "--dest", str(folder), WHEELS[version]],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        pytest.skip(f"pip cannot download {WHEELS[version]}: {done.stderr.strip()[-200:]}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(folder)
    return folder


def make_libraries(folder: Path, major: int) -> Path:
    """Compile the libraries that the bindings ask for, or skip."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("a C compiler for Linux is needed (cc)")
    source = folder / "nothing.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in FUNCTIONS))
    for name in LIBRARIES:
        file = f"lib{name}.so.{major}"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-o", folder / file, f"-Wl,-soname,{file}", source],
            check=True, timeout=60,
        )  # fmt: skip
    return folder


def run_with(folder: Path, code: str) -> str:
    """Run Python where ``tensorrt_bindings`` and mmedge can be imported; gives what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": f"{folder}:{ROOT}", "PATH": ""},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
