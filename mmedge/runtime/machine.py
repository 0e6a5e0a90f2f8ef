"""Which machine this is, as far as speed hangs on it: read from files, without any runtime."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mmedge import __version__
from mmedge.runtime.backends import PACKAGES
from mmedge.runtime.backends.instructions import this_cpu

__all__ = ["Machine", "installed", "missing", "read_machine", "this_machine", "versions"]

DRIVER = "NVIDIA driver"
_WITHOUT_GPU = ("cpu", "openvino")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a measurement of time is true for.

    Attributes:
        cpu: its model.
        cores: how many of them this process may use.
        board: what an ARM board calls itself, such as ``NVIDIA Jetson Orin Nano``.
        gpus: models of NVIDIA's GPUs.
        driver: of NVIDIA's, as it calls its version.
    """

    cpu: str
    cores: int
    board: str = ""
    gpus: tuple[str, ...] = ()
    driver: str = ""

    def __str__(self) -> str:
        cores = f"{self.cores} core{'' if self.cores == 1 else 's'}"
        return ", ".join(filter(None, (self.board, self.cpu, cores, *self.gpus)))

    @property
    def key(self) -> str:
        """The same for the same machine, also after an update of its driver."""
        return hashlib.sha256(str(self).encode()).hexdigest()


def read_machine(root: Path, cpu: str, cores: int) -> Machine:
    """Read the rest of what Linux says of a machine.

    Args:
        root: of the file system.
        cpu: its model.
        cores: how many of them may be used.
    """
    gpus = []
    for file in sorted(root.glob("proc/driver/nvidia/gpus/*/information")):
        model = re.search(r"^Model:\s*(.+)$", _text(file), re.MULTILINE)
        gpus.append(model[1].strip() if model else "NVIDIA GPU")
    told = _text(root / "proc/driver/nvidia/version") or _text(root / "etc/nv_tegra_release")
    number = re.search(r"\b\d{3}\.\d+(\.\d+)?\b|R\d+ \(release\), REVISION: [\d.]+", told)
    return Machine(
        cpu=cpu,
        cores=cores,
        board=_text(root / "proc/device-tree/model").rstrip("\0\n"),
        gpus=tuple(gpus),
        driver=number[0] if number else "",
    )


@cache
def this_machine() -> Machine:
    """Give the machine that this runs on."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return read_machine(Path("/"), this_cpu().name, cores)


def versions(backends: Iterable[str], machine: Machine | None = None) -> dict[str, str]:
    """Give the versions of what these backends are made of, without loading any of it."""
    packages = dict.fromkeys(each for name in backends for each in PACKAGES.get(name, ()))
    found = {"mmedge": __version__, **{each: _version(each) for each in packages}}
    found[DRIVER] = (machine or this_machine()).driver
    return {name: number for name, number in found.items() if number}


def installed(machine: Machine) -> tuple[str, ...]:
    """Name the backends whose packages are all here, and a driver for those that need a GPU."""
    return tuple(name for name in PACKAGES if not missing(name, machine))


def missing(backend: str, machine: Machine) -> tuple[str, ...]:
    """Name what a backend lacks here: packages, and a driver if it needs a GPU."""
    needed = tuple(each for each in PACKAGES[backend] if not _version(each))
    return needed if backend in _WITHOUT_GPU or machine.driver else (*needed, DRIVER)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
