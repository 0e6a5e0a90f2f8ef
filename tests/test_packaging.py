"""Which extra may bring which package, read from pyproject.toml."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = PYPROJECT["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]

AGGREGATES = {"demo", "dev"}
OPENCV = {
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
}


def packages(extra: str) -> set[str]:
    """Names of the packages that ``extra`` brings, through ``mmedge[...]`` as well."""
    names: set[str] = set()
    for requirement in map(Requirement, EXTRAS[extra]):
        if requirement.name == "mmedge":
            names = names.union(*(packages(other) for other in requirement.extras))
        else:
            names.add(canonicalize_name(requirement.name))
    return names


def extras_with(wanted: set[str]) -> set[str]:
    return {extra for extra in EXTRAS if packages(extra) & wanted}


def pins(constraints: str) -> dict[str, str]:
    lines = (ROOT / "constraints" / constraints).read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def test_core_brings_no_runtime_and_no_torch() -> None:
    core = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    assert core == {
        "filelock",
        "numpy",
        "pillow",
        "pydantic",
        "rich",
        "typer",
        "typing-extensions",
    }


def test_only_the_opencv_extras_bring_cv2() -> None:
    assert extras_with(OPENCV) - AGGREGATES == {"opencv", "opencv-headless"}


def test_no_extra_brings_two_opencvs() -> None:
    assert [extra for extra in EXTRAS if len(packages(extra) & OPENCV) > 1] == []


def test_only_cpu_and_gpu_bring_onnxruntime() -> None:
    found = extras_with({"onnxruntime", "onnxruntime-gpu"}) - AGGREGATES
    assert found == {"cpu", "gpu"}
    assert packages("gpu") == {"onnxruntime-gpu"}


def test_openvino_comes_alone() -> None:
    assert extras_with({"openvino"}) == {"openvino"}
    assert packages("openvino") == {"openvino"}


def test_only_tensorrt_pip_and_rtx_bring_a_tensorrt() -> None:
    found = {extra for extra in EXTRAS if any(p.startswith("tensorrt") for p in packages(extra))}
    assert found == {"tensorrt-pip", "rtx"}
    assert packages("tensorrt-pip") == {"tensorrt"}
    assert packages("rtx") == {"onnx", "tensorrt-rtx"}
    assert packages("tensorrt") == {"cuda-python", "onnx"}


def test_only_export_brings_torch() -> None:
    assert extras_with({"torch"}) == {"export"}
    assert packages("export") == {"torch", "onnx", "onnxscript", "safetensors"}


def test_the_demo_runs_without_torch_and_without_onnx() -> None:
    assert packages("demo") & {"torch", "onnx", "onnxscript", "safetensors"} == set()
    assert {"onnxruntime", "av", "sounddevice", "soxr", "tokenizers"} <= packages("demo")


def test_only_aggregates_refer_to_other_extras() -> None:
    found = {
        extra
        for extra, lines in EXTRAS.items()
        if any(Requirement(x).name == "mmedge" for x in lines)
    }
    assert found == AGGREGATES


def test_only_serve_brings_a_server() -> None:
    servers = {"prometheus-client", "starlette", "uvicorn", "websockets"}
    assert packages("serve") == servers
    assert extras_with(servers) == {"serve", "dev"}


def test_no_extra_is_empty() -> None:
    assert [extra for extra in EXTRAS if not EXTRAS[extra]] == []


@pytest.mark.parametrize(
    ("constraints", "extras", "environment"),
    [
        (
            "ci.txt",
            ("dev", "demo", "serve", "export", "openvino", "train", "rtx", "tensorrt"),
            {"python_version": "3.11"},
        ),
        ("jetpack6.txt", ("dev", "demo", "serve", "tensorrt"), {"python_version": "3.10"}),
    ],
)
def test_what_an_extra_names_is_pinned_within_its_range(
    constraints: str, extras: tuple[str, ...], environment: dict[str, str]
) -> None:
    pinned = pins(constraints)
    lines = [line for extra in extras for line in EXTRAS[extra]] + PROJECT["dependencies"]
    for requirement in map(Requirement, lines):
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            continue
        if requirement.name != "mmedge":
            version = pinned.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement.name} is not pinned in {constraints}"
            assert requirement.specifier.contains(version), f"{requirement} against {version}"


def test_every_constraint_is_an_exact_pin() -> None:
    for file in sorted((ROOT / "constraints").glob("*.txt")):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert re.fullmatch(r"#.*|[A-Za-z0-9.-]+==[0-9][A-Za-z0-9.]*", line), (
                f"{file.name}: {line!r} is not NAME==VERSION"
            )


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "mmedge" / "py.typed").is_file()
