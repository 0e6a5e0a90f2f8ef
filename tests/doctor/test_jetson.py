from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest

from mmedge.doctor.looking.jetson import best_mode, look_at_jetson
from tests.doctor.seeding import Seeded, named, names

MODES = """
< PARAM TYPE=FILE NAME=CPU_ONLINE >
CORE_0 /sys/devices/system/cpu/cpu0/online
< POWER_MODEL ID=0 NAME=15W >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=1 NAME=25W >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=2 NAME=MAXN_SUPER >
CPU_ONLINE CORE_0 1
< PM_CONFIG DEFAULT=1 >
"""
CV2 = "usr/lib/python3.10/dist-packages/cv2.cpython-310-aarch64-linux-gnu.so"
with_cv2 = pytest.mark.skipif(find_spec("cv2") is None, reason="needs an OpenCV from pip")


def test_a_board_is_recognised_by_its_files(machine: Seeded) -> None:
    machine.jetson()
    jetson = look_at_jetson(machine.place)
    assert (jetson.release, jetson.jetpack, jetson.system_tensorrt) == (
        (36, 4, 3),
        "6.2",
        "10.3.0.30",
    )
    assert machine.examine().machine["board"] == (
        "NVIDIA Jetson Orin Nano Developer Kit Super (JetPack 6.2)"
    )


def test_jetson_linux_without_jetpack_is_found(machine: Seeded) -> None:
    machine.file("etc/nv_tegra_release", "# R38 (release), REVISION: 2.0, GCID: 1\n")
    report = machine.examine()
    found = named(report, "no-jetpack")
    assert found.severity == "error"
    assert found.remedy == "sudo apt-get update && sudo apt-get install nvidia-jetpack"
    assert "(JetPack 7)" in report.machine["board"]


def test_a_package_that_was_removed_is_not_there(machine: Seeded) -> None:
    machine.file(
        "var/lib/dpkg/status",
        "Package: libnvinfer10\nStatus: deinstall ok config-files\nVersion: 10.3.0.30-1\n",
    )
    assert look_at_jetson(machine.place).system_tensorrt == ""


def test_a_power_mode_below_the_maximum_is_found(machine: Seeded) -> None:
    machine.file("etc/nvpmodel.conf", MODES)
    machine.file("var/lib/nvpmodel/status", "pmode:0001")
    found = named(machine.examine(), "power-mode")
    assert found.severity == "warning"
    assert found.what.startswith("the power mode is 1 (25W); 2 (MAXN_SUPER) is the fastest")
    assert found.remedy == "sudo nvpmodel -m 2 && sudo jetson_clocks"


def test_the_highest_power_mode_is_no_finding(machine: Seeded) -> None:
    machine.file("etc/nvpmodel.conf", MODES)
    machine.file("var/lib/nvpmodel/status", "pmode:0002")
    assert "power-mode" not in names(machine.examine())


@pytest.mark.parametrize(
    ("modes", "best"),
    [
        ({0: "MAXN", 1: "15W", 2: "30W", 3: "50W"}, 0),  # AGX Orin
        ({0: "15W", 1: "7W"}, 0),  # Orin Nano before its super mode
        ({0: "MAXN", 1: "10W", 4: "MAXN_SUPER"}, 4),
        ({0: "MODE_A", 1: "MODE_B"}, None),
        ({}, None),
    ],
)
def test_the_fastest_mode_is_known_by_its_name(modes: dict[int, str], best: int | None) -> None:
    assert best_mode(modes) == best


@with_cv2
def test_a_wheel_of_opencv_that_hides_the_systems_is_found(machine: Seeded) -> None:
    machine.file(CV2)
    (machine.root / "usr/bin").mkdir(parents=True)
    (machine.root / "usr/bin/python3").symlink_to("python3.10")
    machine.also += (*sys.path, str(machine.root / "usr/lib/python3.10/dist-packages"))
    found = named(machine.examine(), "opencv-hidden")
    assert found.severity == "warning"
    assert "comes before it" in found.what
    assert found.remedy.startswith("pip uninstall -y opencv-")


@with_cv2
def test_it_stops_a_board_that_has_a_csi_camera(machine: Seeded) -> None:
    machine.jetson()
    machine.file(CV2)
    (machine.root / "usr/bin").mkdir(parents=True)
    (machine.root / "usr/bin/python3").symlink_to("python3.10")
    machine.file("dev/video0")
    machine.file("sys/class/video4linux/video0/name", "vi-output, imx219 9-0010\n")
    machine.also += tuple(sys.path)
    report = machine.examine()
    found = named(report, "opencv-hidden")
    assert found.severity == "error"
    assert found.remedy.startswith(
        "/opt/venv/bin/python -m venv --upgrade --system-site-packages /opt/venv && pip uninstall"
    )
    assert named(report, "no-argus").remedy == "sudo apt-get install nvidia-l4t-gstreamer"


def test_the_systems_own_opencv_hides_nothing(machine: Seeded) -> None:
    folder = machine.root / "usr/lib/python3/dist-packages"
    machine.file(
        "usr/lib/python3/dist-packages/cv2/__init__.py",
        "def getBuildInformation():\n    return 'Video I/O:\\n    GStreamer:   YES (1.20.3)\\n'\n",
    )
    machine.also += (str(folder),)
    report = machine.examine()
    assert "opencv-hidden" not in names(report)
    assert report.machine["gstreamer in opencv"] == "YES (1.20.3)"


def test_an_environment_that_does_not_see_jetpacks_tensorrt_is_found(machine: Seeded) -> None:
    machine.jetson()
    machine.file("usr/lib/python3/dist-packages/tensorrt/__init__.py")
    found = named(machine.examine(), "tensorrt-hidden")
    assert found.severity == "error"
    assert found.remedy == (
        "/opt/venv/bin/python -m venv --upgrade --system-site-packages /opt/venv"
    )


def test_a_python_without_an_environment_needs_one(machine: Seeded) -> None:
    machine.jetson()
    machine.file("usr/lib/python3/dist-packages/tensorrt/__init__.py")
    machine.venv = ""
    found = named(machine.examine(), "tensorrt-hidden")
    assert found.remedy == "/usr/bin/python3 -m venv --system-site-packages ~/mmedge"


def test_a_tensorrt_from_pip_that_hides_jetpacks_is_found(machine: Seeded) -> None:
    machine.jetson()
    machine.package("tensorrt", "10.13.0")
    found = named(machine.examine(), "tensorrt-hidden")
    assert found.remedy == "pip uninstall -y tensorrt"


def test_a_tensorrt_before_10_is_found(machine: Seeded) -> None:
    machine.jetson()
    machine.debian(nvidia_jetpack="6.0+b106", libnvinfer8="8.6.2.3-1+cuda12.2")
    found = named(machine.examine(), "old-tensorrt")
    assert found.severity == "error"
    assert found.what == (
        "TensorRT 8.6.2.3 is here, and engines need 10.3 or newer: JetPack 6.1 or newer"
    )


def test_of_two_tensorrts_the_newer_counts(machine: Seeded) -> None:
    machine.debian(libnvinfer8="8.6.2.3-1+cuda12.2", libnvinfer10="10.3.0.30-1+cuda12.5")
    assert look_at_jetson(machine.place).system_tensorrt == "10.3.0.30"


def test_a_tensorrt_without_its_python_package_is_found(machine: Seeded) -> None:
    machine.jetson()
    found = named(machine.examine(), "no-tensorrt-bindings")
    assert (found.severity, found.remedy) == (
        "error",
        "sudo apt-get install python3-libnvinfer",
    )


def test_another_python_than_jetpacks_is_found(machine: Seeded) -> None:
    machine.jetson()
    (machine.root / "usr/bin").mkdir(parents=True)
    (machine.root / "usr/bin/python3").symlink_to("python3.7")
    found = named(machine.examine(), "other-python")
    assert found.remedy == "/usr/bin/python3.7 -m venv --system-site-packages ~/mmedge"


def test_a_small_board_without_swap_is_found(machine: Seeded) -> None:
    machine.jetson()
    machine.file(
        "proc/meminfo",
        "MemTotal:        7802000 kB\nMemAvailable:    5000000 kB\nSwapTotal:             0 kB\n",
    )
    found = named(machine.examine(), "no-swap")
    assert found.remedy.startswith("sudo fallocate -l 8G /swapfile && ")


def test_little_free_memory_is_found(machine: Seeded) -> None:
    machine.file("proc/meminfo", "MemTotal: 7802000 kB\nMemAvailable: 300000 kB\nSwapTotal: 1 kB\n")
    assert "0.3 GiB of 7.4 GiB" in named(machine.examine(), "memory-low").what
