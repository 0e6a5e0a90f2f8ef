"""What machine this is, read from a made file system."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

import mmedge
from mmedge.runtime import machine
from mmedge.runtime.backends import BACKENDS, PACKAGES
from mmedge.runtime.machine import (
    Machine,
    installed,
    missing,
    read_machine,
    this_machine,
    versions,
)


def write(root: Path, name: str, text: str) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def test_a_desktop_names_its_cpu_its_gpus_and_their_driver(tmp_path: Path) -> None:
    for bus in ("0000:01:00.0", "0000:02:00.0"):
        text = "Model: \t\t NVIDIA GeForce RTX 3060\nIRQ:   \t\t 74\nGPU UUID: \t GPU-1\n"
        write(tmp_path, f"proc/driver/nvidia/gpus/{bus}/information", text)
    told = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23\nGCC version:\n"
    write(tmp_path, "proc/driver/nvidia/version", told)
    machine = read_machine(tmp_path, "Ryzen 9", 16)
    assert str(machine) == "Ryzen 9, 16 cores, NVIDIA GeForce RTX 3060, NVIDIA GeForce RTX 3060"
    assert machine.driver == "580.95.05"


def test_a_jetson_names_its_board_and_its_release(tmp_path: Path) -> None:
    write(tmp_path, "proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit\0")
    write(tmp_path, "etc/nv_tegra_release", "# R36 (release), REVISION: 4.3, GCID: 38968081\n")
    machine = read_machine(tmp_path, "ARM implementer 0x41, part 0xd42", 6)
    assert str(machine) == (
        "NVIDIA Jetson Orin Nano Developer Kit, ARM implementer 0x41, part 0xd42, 6 cores"
    )
    assert machine.driver == "R36 (release), REVISION: 4.3"


def test_a_machine_that_tells_nothing_more_is_its_cpu(tmp_path: Path) -> None:
    assert str(read_machine(tmp_path, "some CPU", 1)) == "some CPU, 1 core"


def test_its_key_outlives_a_driver_and_no_other_part() -> None:
    one = Machine(cpu="a", cores=2, driver="1")
    assert Machine(cpu="a", cores=2, driver="2").key == one.key
    others = [
        Machine(cpu="b", cores=2),
        Machine(cpu="a", cores=4),
        Machine(cpu="a", cores=2, gpus=("T4",)),
        Machine(cpu="a", cores=2, board="Nano"),
    ]
    assert len({one.key, *(each.key for each in others)}) == 5


def test_versions_are_those_that_are_installed() -> None:
    found = versions(["cpu"], Machine(cpu="a", cores=2, driver="580.95"))
    assert found["mmedge"] == mmedge.__version__
    assert found["NVIDIA driver"] == "580.95"
    named = [name for name in ("onnxruntime", "onnxruntime-gpu") if name in found]
    assert named
    assert found[named[0]] == version(named[0])
    assert "NVIDIA driver" not in versions(["cpu"], Machine(cpu="a", cores=2))


def test_what_a_backend_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_version", lambda name: "1.0" if name == "tensorrt" else "")
    bare, with_gpu = Machine(cpu="a", cores=2), Machine(cpu="a", cores=2, driver="580.95")
    assert missing("openvino", bare) == ("openvino",)
    assert missing("tensorrt", bare) == ("cuda-bindings", "NVIDIA driver")
    assert missing("tensorrt", with_gpu) == ("cuda-bindings",)
    assert installed(with_gpu) == ()
    monkeypatch.setattr(machine, "_version", lambda name: "1.0")
    assert installed(bare) == ("cpu", "openvino")
    assert installed(with_gpu) == tuple(PACKAGES)


def test_every_backend_has_its_packages() -> None:
    assert set(PACKAGES) == set(BACKENDS)


def test_this_machine_has_a_cpu_and_cores() -> None:
    assert this_machine().cpu
    assert this_machine().cores >= 1
