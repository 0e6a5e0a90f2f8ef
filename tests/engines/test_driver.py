"""The driver is asked through ctypes; here a recording stand-in of libcuda answers."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest

from mmedge.engines.driver import Driver, Gpu, probe, read_kernel
from mmedge.errors import IncompatibleError


class FakeCuda:
    """Answers as libcuda would with one Orin, or fails in `cuInit`."""

    def __init__(self, *, init: int = 0, count: int = 1) -> None:
        self.init, self.count = init, count
        self.calls: list[str] = []

    def cuInit(self, flags: int) -> int:  # noqa: N802 - the driver's names
        assert flags == 0
        self.calls.append("cuInit")
        return self.init

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = 12060
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.count
        return 0

    def cuDeviceGet(self, device: Any, index: int) -> int:  # noqa: N802
        device._obj.value = 40 + index
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: ctypes.c_int) -> int:  # noqa: N802
        assert (size, device.value) == (256, 40)
        name.value = b"Orin"
        return 0

    def cuDeviceTotalMem_v2(self, memory: Any, device: ctypes.c_int) -> int:  # noqa: N802
        memory._obj.value = 7_990_000_000
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> int:  # noqa: N802
        value._obj.value = {75: 8, 76: 7}[attribute]
        return 0

    def cuDeviceGetUuid_v2(self, raw: Any, device: ctypes.c_int) -> int:  # noqa: N802
        raw._obj[:] = range(16)
        return 0


def test_a_driver_that_works_tells_its_versions_and_gpus() -> None:
    found = probe(lambda name: FakeCuda())
    assert found == Driver(
        version=(12, 6),
        kernel=read_kernel(),
        gpus=(
            Gpu(
                name="Orin",
                capability=(8, 7),
                memory_bytes=7_990_000_000,
                uuid="GPU-00010203-0405-0607-0809-0a0b0c0d0e0f",
            ),
        ),
    )
    assert found.gpus[0].sm == "sm87"


def missing(name: str) -> Any:
    raise OSError(f"{name}: cannot open shared object file")


def test_no_driver_is_one_line_with_a_remedy() -> None:
    with pytest.raises(IncompatibleError) as raised:
        probe(missing)
    message = str(raised.value)
    assert message.startswith("there is no NVIDIA driver here")
    assert "Install it" in message
    assert "\n" not in message
    assert raised.value.exit_code == 4


@pytest.mark.parametrize(
    ("code", "words", "remedy"),
    [
        (34, "is the stub", "LD_LIBRARY_PATH"),
        (100, "finds no GPU", "--gpus all"),
        (803, "different versions", "restart the machine"),
        (804, "forward compatibility", "LD_LIBRARY_PATH"),
        (999, "unknown reason", "restart the machine"),
        (1, "it fails", "nvidia-smi"),
    ],
)
def test_a_driver_that_fails_says_why_and_is_asked_nothing_more(
    monkeypatch: pytest.MonkeyPatch, code: int, words: str, remedy: str
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    cuda = FakeCuda(init=code)
    with pytest.raises(IncompatibleError) as raised:
        probe(lambda name: cuda)
    message = str(raised.value)
    assert words in message
    assert f"CUresult {code}" in message
    assert remedy in message
    assert "\n" not in message
    assert cuda.calls == ["cuInit"]


def test_a_driver_without_gpus_is_refused() -> None:
    with pytest.raises(IncompatibleError, match=r"finds no GPU|leaves it no GPU"):
        probe(lambda name: FakeCuda(count=0))


def test_a_variable_that_hides_the_gpus_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    with pytest.raises(IncompatibleError, match=r"CUDA_VISIBLE_DEVICES='-1'.*unset that variable"):
        probe(lambda name: FakeCuda(init=100))


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  (host)\nGCC: 11\n",
            "540.4.0",
        ),
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 2023\n",
            "535.104.05",
        ),
        ("# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref\n", "L4T 35.4.1"),
        ("nothing of that kind\n", ""),
    ],
)
def test_the_kernel_module_s_version_is_read(tmp_path: Path, text: str, version: str) -> None:
    file = tmp_path / "version"
    file.write_text(text)
    assert read_kernel((tmp_path / "absent", file)) == version
