from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from mmedge.engines import toolkit
from mmedge.engines.driver import Driver, Gpu
from mmedge.engines.toolkit import installed_toolkit, open_toolkit
from mmedge.errors import IncompatibleError, MissingDependencyError

ORIN = Gpu(name="Orin", capability=(8, 7), memory_bytes=8 * 2**30, uuid="")
DRIVER = Driver(version=(12, 6), kernel="540.4.0", gpus=(ORIN,))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules are found first; what was imported from it is forgotten."""
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield tmp_path
    for name in ("tensorrt", "tensorrt_rtx"):
        sys.modules.pop(name, None)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolkit, "probe", lambda: DRIVER)


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def probe() -> Driver:
        raise IncompatibleError("there is no NVIDIA driver here")

    monkeypatch.setattr(toolkit, "probe", probe)


@pytest.mark.usefixtures("no_driver")
def test_without_a_driver_the_module_is_not_even_imported(place: Path) -> None:
    (place / "tensorrt.py").write_text("raise SystemExit('touched')\n")
    with pytest.raises(IncompatibleError, match="no NVIDIA driver"):
        open_toolkit("tensorrt", needs_gpu=False)  # it always needs one
    assert "tensorrt" not in sys.modules


@pytest.mark.usefixtures("no_driver")
def test_to_compile_ahead_of_time_no_driver_is_asked(place: Path) -> None:
    (place / "tensorrt_rtx.py").write_text(
        "class Builder: ...\nclass OnnxParser: ...\nclass ComputeCapability: ...\n"
        "class IBuilderConfig:\n    num_compute_capabilities = 0\n"
        "    def set_compute_capability(self): ...\n__version__ = '1.7'\n"
    )
    found = open_toolkit("tensorrt_rtx", needs_gpu=False)
    assert (found.version, found.driver, found.compiles_ahead) == ("1.7", None, True)


@pytest.mark.usefixtures("driver")
def test_a_part_that_only_runs_engines_is_refused(place: Path) -> None:
    (place / "tensorrt.py").write_text("class Runtime: ...\n")
    with pytest.raises(IncompatibleError, match=r"no Builder: .*only runs engines"):
        open_toolkit("tensorrt")


@pytest.mark.usefixtures("driver")
def test_a_package_whose_libraries_are_missing_is_named(place: Path) -> None:
    (place / "tensorrt.py").write_text("raise ImportError('libnvinfer.so.10: not found')\n")
    with pytest.raises(IncompatibleError, match=r"cannot be loaded: libnvinfer\.so\.10"):
        open_toolkit("tensorrt")


@pytest.mark.usefixtures("driver")
def test_a_package_that_is_missing_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def importer(name: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("importlib.import_module", importer)
    with pytest.raises(MissingDependencyError, match=r"mmedge\[tensorrt-pip\].*Jetson"):
        open_toolkit("tensorrt")
    with pytest.raises(MissingDependencyError, match=r"mmedge\[rtx\]"):
        open_toolkit("tensorrt_rtx", needs_gpu=False)


@pytest.mark.parametrize(
    ("packages", "name"),
    [
        (("tensorrt", "tensorrt_rtx"), "tensorrt"),
        (("tensorrt",), "tensorrt"),
        (("tensorrt_rtx",), "tensorrt_rtx"),
        ((), "tensorrt"),  # whose absence is then named
    ],
)
def test_the_whole_tensorrt_comes_before_tensorrt_rtx(
    monkeypatch: pytest.MonkeyPatch, packages: tuple[str, ...], name: str
) -> None:
    monkeypatch.setattr(toolkit, "is_installed", lambda each: each in packages)
    assert installed_toolkit() == name
