"""ONNX Runtime: one copy, built for the CUDA that is here."""

from __future__ import annotations

from collections.abc import Iterator

from mmedge.doctor.finding import Finding
from mmedge.doctor.looking.packages import numbers
from mmedge.doctor.machine import ONNXRUNTIMES, TENSORRTS, Machine

__all__ = ["check_onnxruntime"]

# CUDA -> the first release that is built for a newer one, by the packages' own metadata.
_FIRST_WITHOUT = {12: "1.27"}


def check_onnxruntime(machine: Machine) -> Iterator[Finding]:
    """Find what keeps ONNX Runtime from running, or from running on the GPU."""
    installed = machine.installed(*ONNXRUNTIMES)
    imported = machine.imports.get("onnxruntime")
    if imported is not None and imported.missing:
        runs = bool(machine.jetson.system_tensorrt or machine.installed(*TENSORRTS))
        yield Finding(
            name="no-onnxruntime",
            severity="warning" if runs else "error",
            what="ONNX Runtime is not installed: nothing runs on the CPU, and nothing is verified",
            remedy="pip install 'mmedge[cpu]'",
            where="onnxruntime",
        )
    if len(installed) > 1:
        gpu = machine.gpus.cuda and machine.package("onnxruntime-gpu") and not machine.jetson.here
        keep = "onnxruntime-gpu" if gpu else "onnxruntime"
        names, last = " and ".join(map(str, installed)), machine.software.onnxruntime
        yield Finding(
            name="two-onnxruntimes",
            severity="error",
            what=f"{names} are both installed, in one folder: the one that came last"
            f"{f' ({last})' if last else ''} has overwritten the other, and removing either "
            "breaks both",
            remedy=f"pip uninstall -y {' '.join(each.name for each in installed)} "
            f"&& pip install {keep}",
            where=installed[0].folder,
        )
    yield from _cuda(machine)
    yield from _tensorrt(machine)


def _cuda(machine: Machine) -> Iterator[Finding]:
    """Compare the CUDA that it was built for with the driver's, and with what is installed."""
    built, gpus = machine.software.built_for_cuda, machine.gpus
    package = machine.package("onnxruntime-gpu") or machine.package("onnxruntime")
    if not built or package is None:
        return
    newest, whose = (gpus.cuda, "driver runs") if gpus.cuda else (gpus.toolkit, "toolkit is")
    version = ".".join(map(str, built))
    if newest and built[0] > newest[0]:
        yield Finding(
            name="other-cuda",
            severity="error",
            what=f"{package} is built for CUDA {version}, and the {whose} "
            f"{'.'.join(map(str, newest))}: --backend cuda cannot start",
            remedy=_another(machine, newest[0]),
            where=package.folder,
        )
    elif gpus.cuda and built[0] not in gpus.runtimes:
        yield Finding(
            name="other-cuda",
            severity="error",
            what=f"{package} is built for CUDA {version}, and there is no CUDA {built[0]} runtime "
            f"(libcudart.so.{built[0]}) here: --backend cuda cannot start",
            remedy=_another(machine, built[0])
            if machine.jetson.here
            else f"pip install '{package.name}[cuda,cudnn]=={package.version}'",
            where=package.folder,
        )


def _tensorrt(machine: Machine) -> Iterator[Finding]:
    """Its TensorRT provider loads one version of TensorRT, by the library's name."""
    wanted, package = machine.software.built_for_tensorrt, machine.package("tensorrt")
    here = package.version if package else machine.jetson.system_tensorrt
    if wanted and here and numbers(here)[:1] != (wanted,):
        yield Finding(
            name="other-tensorrt",
            severity="warning",
            what=f"ONNX Runtime is built for TensorRT {wanted}, and here is {here}: --backend "
            "onnxruntime-tensorrt cannot start; --backend tensorrt needs no ONNX Runtime",
            remedy="mmedge serve --backend tensorrt",
            where="libonnxruntime_providers_tensorrt.so",
        )


def _another(machine: Machine, cuda: int) -> str:
    """A Jetson's builds are its maker's; for older drivers there are older builds."""
    if machine.jetson.here:
        return (
            "pip uninstall -y onnxruntime-gpu && pip install 'mmedge[cpu]'  "
            f"# or a build for JetPack's CUDA {cuda}, see docs/jetson.md"
        )
    if cuda in _FIRST_WITHOUT:
        return f"pip install 'onnxruntime-gpu[cuda,cudnn]<{_FIRST_WITHOUT[cuda]}'"
    debian = machine.software.distribution == "debian"
    return "sudo apt-get install nvidia-driver" if debian else "sudo ubuntu-drivers install"
