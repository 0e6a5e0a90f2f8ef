"""The driver, CUDA and TensorRT, and whether they fit one another."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mmedge.doctor.finding import Finding
from mmedge.doctor.looking.packages import Package, numbers
from mmedge.doctor.machine import TENSORRTS, Machine

__all__ = ["check_gpu"]

_LEAST = (7, 5)  # TensorRT 10.5 and later, TensorRT-RTX


def check_gpu(machine: Machine) -> Iterator[Finding]:
    """Find what keeps engines from being built or run."""
    tensorrts = machine.installed(*(name for name in TENSORRTS if name != "tensorrt-rtx"))
    if machine.gpus.problem:
        yield _no_driver(machine, tensorrts)
    yield from _hidden(machine, tensorrts)
    yield from _old(machine)
    yield from _versions(machine, tensorrts)
    for name, capability in zip(machine.gpus.names, machine.gpus.capabilities, strict=True):
        if capability < _LEAST and not machine.jetson.here:
            yield Finding(
                name="old-gpu",
                severity="warning",
                what=f"{name} has compute capability {capability[0]}.{capability[1]}, and TensorRT "
                f"takes {_LEAST[0]}.{_LEAST[1]} or newer",
                remedy="mmedge serve --backend cpu",
                where=name,
            )


def _no_driver(machine: Machine, tensorrts: tuple[Package, ...]) -> Finding:
    """An error where something here is for a GPU; where nothing is, only a note."""
    waiting = [*tensorrts, *machine.installed("onnxruntime-gpu")]
    remedy = _driver_remedy(machine, waiting)
    if machine.jetson.here:
        why = "this is a Jetson"
    elif machine.gpus.listed:
        why = f"NVIDIA GPUs on the PCI bus: {machine.gpus.listed}"
    elif waiting:
        why = f"{' and '.join(map(str, waiting))} cannot do without"
    else:
        why = "without an NVIDIA GPU, everything runs on the CPU"
    serious = machine.jetson.here or machine.gpus.listed or waiting
    return Finding(
        name="no-driver",
        severity="error" if serious else "note",
        what=f"{machine.gpus.problem.rstrip('.')}; {why}",
        remedy=remedy,
        where="libcuda.so.1",
    )


def _driver_remedy(machine: Machine, waiting: list[Package]) -> str:
    if machine.software.container and (machine.jetson.here or machine.gpus.listed or waiting):
        return f"docker run {'--runtime nvidia' if machine.jetson.here else '--gpus all'} ..."
    if machine.jetson.here:
        return "sudo apt-get install --reinstall nvidia-l4t-core nvidia-l4t-cuda"
    if machine.gpus.listed:
        debian = machine.software.distribution == "debian"
        return "sudo apt-get install nvidia-driver" if debian else "sudo ubuntu-drivers install"
    if not waiting:
        return "mmedge serve --backend cpu"
    names = " ".join(each.name for each in waiting)
    return f"pip uninstall -y {names} && pip install --force-reinstall 'mmedge[cpu]'"


def _hidden(machine: Machine, tensorrts: tuple[Package, ...]) -> Iterator[Finding]:
    """The system has a TensorRT, and this environment another, or none."""
    system, folder = machine.jetson.system_tensorrt, machine.software.system_tensorrt
    if not system:
        return
    wheels = [
        each
        for each in tensorrts
        if each.name != "tensorrt-lean" and not (folder and folder.startswith(each.folder))
    ]
    if wheels:
        yield Finding(
            name="tensorrt-hidden",
            severity="error" if machine.jetson.here else "warning",
            what=f"{wheels[0]} from pip hides the system's TensorRT {system}"
            + ("; pip's are for desktops and servers" if machine.jetson.here else ""),
            remedy=f"pip uninstall -y {' '.join(each.name for each in wheels)}",
            where=wheels[0].folder,
        )
    elif not folder and "python3-libnvinfer" not in machine.jetson.debian:
        yield Finding(
            name="no-tensorrt-bindings",
            severity="error" if machine.jetson.here else "warning",
            what=f"TensorRT {system} is installed without its Python bindings: no engines",
            remedy="sudo apt-get install python3-libnvinfer",
            where="/usr/lib/python3/dist-packages",
        )
    elif folder and machine.software.isolated:
        yield Finding(
            name="tensorrt-hidden",
            severity="error" if machine.jetson.here else "warning",
            what=f"the system's TensorRT {system} cannot be seen in this environment",
            remedy=machine.software.opening,
            where=folder,
        )


def _old(machine: Machine) -> Iterator[Finding]:
    """TensorRT 8 has neither strongly typed networks nor FP16 by the graph's types."""
    package, system = machine.package("tensorrt"), machine.jetson.system_tensorrt
    version = package.version if package else system
    if version and numbers(version) < (10,):
        update = "sudo apt-get update && sudo apt-get dist-upgrade && sudo apt-get install "
        yield Finding(
            name="old-tensorrt",
            severity="error",
            what=f"TensorRT {version} is here, and engines need 10.3 or newer"
            + (": JetPack 6.1 or newer" if machine.jetson.here else ""),
            remedy="pip install 'mmedge[tensorrt-pip]'" if package else f"{update}nvidia-jetpack",
            where=package.folder if package else "libnvinfer",
        )


def _versions(machine: Machine, tensorrts: tuple[Package, ...]) -> Iterator[Finding]:
    cuda = machine.gpus.cuda
    for package in tensorrts:
        suffix = re.search(r"-cu(\d+)", package.name)
        if suffix and cuda and int(suffix[1]) > cuda[0]:
            yield Finding(
                name="other-cuda",
                severity="error",
                what=f"{package} is built for CUDA {suffix[1]}, and the driver runs "
                f"{cuda[0]}.{cuda[1]} at most",
                remedy=f"pip uninstall -y {package.name} && pip install tensorrt-cu{cuda[0]}",
                where=package.folder,
            )
    bindings = machine.package("cuda-bindings") or machine.package("cuda-python")
    if bindings is not None and cuda and bindings.release[:1] > cuda[:1]:
        yield Finding(
            name="other-cuda",
            severity="error",
            what=f"{bindings} is built for CUDA {bindings.release[0]}, and the driver runs "
            f"{cuda[0]}.{cuda[1]} at most",
            remedy=f"pip install 'cuda-python<{cuda[0] + 1}'",
            where=bindings.folder,
        )
    has = machine.installed("tensorrt", "tensorrt-rtx") or machine.jetson.system_tensorrt
    if cuda and has and bindings is None:
        yield Finding(
            name="no-cuda-python",
            severity="error",
            what="TensorRT is here, and cuda-python is not: --backend tensorrt cannot start",
            remedy="pip install 'mmedge[tensorrt]'",
            where="cuda-python",
        )
    if [each.name for each in tensorrts] == ["tensorrt-lean"]:
        yield Finding(
            name="no-builder",
            severity="warning",
            what="tensorrt-lean runs engines and builds none",
            remedy="pip install 'mmedge[tensorrt-pip,tensorrt]'",
            where=tensorrts[0].folder,
        )
