from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from mmedge.doctor.checks.gpu import check_gpu
from mmedge.doctor.checks.onnxruntime import check_onnxruntime
from mmedge.doctor.looking.gpu import Gpus
from mmedge.doctor.looking.packages import Package
from mmedge.doctor.looking.software import Software
from mmedge.doctor.machine import Machine
from tests.doctor.seeding import Seeded, named, names

DRIVER = """
#include <string.h>
int cuInit(unsigned flags) { return INIT; }
int cuDriverGetVersion(int *version) { *version = 12060; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int index) { *device = index; return 0; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, "Orin", size); return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = 8000000000; return 0; }
int cuDeviceGetAttribute(int *value, int which, int device)
{ *value = which == 75 ? 8 : 7; return 0; }
int cuDeviceGetUuid_v2(unsigned char *uuid, int device) { memset(uuid, 7, 16); return 0; }
"""


def has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


without_driver = pytest.mark.skipif(has_driver(), reason="this machine has an NVIDIA driver")
with_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


def compile_driver(machine: Seeded, init: int = 0) -> None:
    """Put a libcuda that answers like a Jetson's where the loader finds it first."""
    folder = machine.folder / "libraries"
    folder.mkdir()
    (folder / "cuda.c").write_text(DRIVER)
    subprocess.run(
        ["cc", "-shared", "-fPIC", f"-DINIT={init}", "-o", folder / "libcuda.so.1", "cuda.c"],
        cwd=folder,
        check=True,
    )
    machine.environment["LD_LIBRARY_PATH"] = str(folder)


def built_for(machine: Seeded, cuda: str) -> None:
    machine.package("onnxruntime-gpu", "1.31.1")
    machine.module("onnxruntime/__init__.py", "__version__ = '1.31.1'")
    machine.module(
        "onnxruntime/capi/build_and_package_info.py",
        f"package_name = 'onnxruntime-gpu'\n__version__ = '1.31.1'\ncuda_version = '{cuda}'\n",
    )


@without_driver
def test_no_libcuda_is_a_note_where_nothing_waits_for_it(machine: Seeded) -> None:
    found = named(machine.examine(), "no-driver")
    assert (found.severity, found.where) == ("note", "libcuda.so.1")
    assert found.what.startswith("there is no NVIDIA driver here (libcuda.so.1 cannot be loaded)")
    assert found.remedy == "mmedge serve --backend cpu"


@without_driver
@pytest.mark.parametrize("package", ["onnxruntime-gpu", "tensorrt", "tensorrt-lean"])
def test_no_libcuda_stops_what_waits_for_it(machine: Seeded, package: str) -> None:
    machine.package(package, "1.0")
    # Touched without a driver it would end the process; so nobody may touch it.
    machine.module(f"{package.replace('-', '_')}.py", "import os; os.kill(os.getpid(), 11)")
    report = machine.examine()
    found = named(report, "no-driver")
    assert found.severity == "error"
    assert found.remedy.startswith(f"pip uninstall -y {package} && ")
    assert "package-broken" not in names(report)


@without_driver
def test_a_gpu_on_the_bus_without_a_driver_is_found(machine: Seeded) -> None:
    machine.file("sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n")
    machine.file("sys/bus/pci/devices/0000:01:00.0/class", "0x030000\n")
    machine.file("sys/bus/pci/devices/0000:01:00.1/vendor", "0x10de\n")
    machine.file("sys/bus/pci/devices/0000:01:00.1/class", "0x040300\n")  # its sound
    machine.file("etc/os-release", 'NAME="Ubuntu"\nID=ubuntu\n')
    found = named(machine.examine(), "no-driver")
    assert (found.severity, found.remedy) == ("error", "sudo ubuntu-drivers install")
    assert "NVIDIA GPUs on the PCI bus: 1" in found.what


@without_driver
def test_a_container_without_its_gpu_is_told_from_a_machine_without_a_driver(
    machine: Seeded,
) -> None:
    machine.jetson()
    machine.file(".dockerenv")
    assert named(machine.examine(), "no-driver").remedy == "docker run --runtime nvidia ..."


@with_compiler
def test_an_onnxruntime_for_a_newer_cuda_than_the_drivers_is_found(machine: Seeded) -> None:
    compile_driver(machine)
    built_for(machine, "13.0")
    report = machine.examine()
    found = named(report, "other-cuda")
    assert found.severity == "error"
    assert found.what == (
        "onnxruntime-gpu 1.31.1 is built for CUDA 13.0, and the driver runs 12.6: "
        "--backend cuda cannot start"
    )
    assert found.remedy == "pip install 'onnxruntime-gpu[cuda,cudnn]<1.27'"
    assert report.machine["gpu"] == "Orin (sm87)"
    assert "no-driver" not in names(report)


def test_an_onnxruntime_for_another_tensorrt_is_found(machine: Seeded) -> None:
    built_for(machine, "13.0")
    machine.module(
        "onnxruntime/capi/libonnxruntime_providers_tensorrt.so",
        "\x7fELF\0libcudart.so.13\0libnvinfer.so.10\0libnvonnxparser.so.10\0",
    )
    machine.debian(libnvinfer11="11.4.1.6-1+cuda13.2")
    found = named(machine.examine(), "other-tensorrt")
    assert found.severity == "warning"
    assert "built for TensorRT 10, and here is 11.4.1.6" in found.what
    machine.debian(libnvinfer10="10.13.3.9-1+cuda13.0")
    assert "other-tensorrt" not in names(machine.examine())


def test_a_driver_that_is_too_old_for_any_build_is_to_be_replaced() -> None:
    packages = (Package(name="onnxruntime-gpu", version="1.31.1", folder="/site-packages"),)
    software = Software(built_for_cuda=(13, 0), distribution="debian")
    machine = Machine(packages=packages, software=software, gpus=Gpus(cuda=(11, 4)))
    (found,) = check_onnxruntime(machine)
    assert (found.name, found.remedy) == ("other-cuda", "sudo apt-get install nvidia-driver")


@with_compiler
def test_an_onnxruntime_without_its_cuda_runtime_is_found(machine: Seeded) -> None:
    compile_driver(machine)
    built_for(machine, "12.6")
    found = named(machine.examine(), "other-cuda")
    assert "no CUDA 12 runtime (libcudart.so.12)" in found.what
    assert found.remedy == "pip install 'onnxruntime-gpu[cuda,cudnn]==1.31.1'"


@with_compiler
def test_an_onnxruntime_with_its_cuda_is_right(machine: Seeded) -> None:
    compile_driver(machine)
    built_for(machine, "12.6")
    machine.module("nvidia/cuda_runtime/lib/libcudart.so.12")
    assert "other-cuda" not in names(machine.examine())


@with_compiler
def test_a_driver_that_does_not_work_is_found(machine: Seeded) -> None:
    compile_driver(machine, init=999)
    machine.package("tensorrt", "10.3.0")
    found = named(machine.examine(), "no-driver")
    assert "it fails for an unknown reason (CUresult 999)" in found.what


@without_driver
def test_without_a_driver_the_toolkit_tells_the_cuda(machine: Seeded) -> None:
    built_for(machine, "13.0")
    machine.file(
        "usr/local/cuda/version.json", '{"cuda": {"name": "CUDA SDK", "version": "12.6.11"}}'
    )
    found = named(machine.examine(), "other-cuda")
    assert "built for CUDA 13.0, and the toolkit is 12.6" in found.what


@with_compiler
def test_a_tensorrt_is_tried_only_with_a_driver_and_its_fault_is_found(machine: Seeded) -> None:
    compile_driver(machine)
    machine.package("tensorrt", "10.3.0")
    machine.package("cuda-python", "12.6.0")
    machine.module("tensorrt.py", "raise ImportError('libnvinfer.so.10: cannot open')")
    found = named(machine.examine(), "package-broken")
    assert "'tensorrt' cannot be imported" in found.what


@with_compiler
def test_a_tensorrt_and_cuda_bindings_for_another_cuda_are_found(machine: Seeded) -> None:
    compile_driver(machine)
    machine.package("tensorrt-cu13", "10.13.0")
    machine.package("cuda-python", "13.0.1")
    found = [each for each in machine.examine().findings if each.name == "other-cuda"]
    assert [each.remedy for each in found] == [
        "pip uninstall -y tensorrt-cu13 && pip install tensorrt-cu12",
        "pip install 'cuda-python<13'",
    ]


@with_compiler
def test_a_tensorrt_without_cuda_python_is_found(machine: Seeded) -> None:
    compile_driver(machine)
    machine.package("tensorrt", "10.3.0")
    machine.module("tensorrt.py")
    assert named(machine.examine(), "no-cuda-python").remedy == "pip install 'mmedge[tensorrt]'"


def test_a_gpu_that_is_too_old_is_found() -> None:
    gpus = Gpus(cuda=(12, 6), names=("Tesla P4",), capabilities=((6, 1),))
    (found,) = check_gpu(Machine(gpus=gpus))
    assert (found.name, found.severity) == ("old-gpu", "warning")
    assert "6.1" in found.what


def test_tensorrt_lean_alone_builds_nothing(machine: Seeded) -> None:
    machine.package("tensorrt-lean", "10.3.0")
    assert "no-builder" in names(machine.examine())


def test_a_runtime_on_the_loaders_path_is_seen(machine: Seeded, tmp_path: Path) -> None:
    from mmedge.doctor.looking.gpu import look_at_gpus
    from mmedge.doctor.looking.imports import Imported

    machine.file("usr/local/cuda-12.6/targets/aarch64-linux/lib/libcudart.so.12.6.77")
    (tmp_path / "libcudart.so.11.0").touch()
    machine.environment["LD_LIBRARY_PATH"] = str(tmp_path)
    assert look_at_gpus(machine.place, Imported()).runtimes == {11, 12}
