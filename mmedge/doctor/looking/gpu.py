"""The GPU, its driver, CUDA and TensorRT; nothing of TensorRT is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmedge.doctor.looking.imports import Imported
from mmedge.doctor.place import Place, glob

__all__ = ["Gpus", "look_at_gpus"]

_PCI = ("vendor", "class")
_NVIDIA, _DISPLAY = "0x10de", "0x03"  # display controllers


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """What NVIDIA hardware and software is here.

    Attributes:
        cuda: the newest CUDA that the driver runs, such as ``(12, 6)``; empty without a driver.
        kernel: version of the driver's kernel module.
        names: of the GPUs.
        capabilities: compute capability of each.
        problem: why there is no driver that works, in one line; empty if there is one.
        listed: NVIDIA GPUs on the PCI bus, driver or not.
        toolkit: version of the CUDA toolkit in ``/usr/local/cuda``; empty where there is none.
        runtimes: first numbers of the CUDA runtime libraries that were found.
    """

    cuda: tuple[int, ...] = ()
    kernel: str = ""
    names: tuple[str, ...] = ()
    capabilities: tuple[tuple[int, int], ...] = ()
    problem: str = ""
    listed: int = 0
    toolkit: tuple[int, ...] = ()
    runtimes: frozenset[int] = frozenset()


def look_at_gpus(place: Place, driver: Imported) -> Gpus:
    """Put together what the driver said and what lies on the disk.

    Args:
        place: where.
        driver: what its library said, asked in a process of its own.
    """
    told: Mapping[str, Any] = driver.more.get("driver", {})
    gpus = told.get("gpus", ())
    return Gpus(
        cuda=tuple(told.get("version", ())),
        kernel=str(told.get("kernel", "")),
        names=tuple(each["name"] for each in gpus),
        capabilities=tuple((each["capability"][0], each["capability"][1]) for each in gpus),
        problem=driver.error.removeprefix("IncompatibleError: "),
        listed=sum(1 for _ in _listed(place)),
        toolkit=_toolkit(place),
        runtimes=frozenset(_runtimes(place)),
    )


def _listed(place: Place) -> Iterable[Path]:
    for device in place.found("sys/bus/pci/devices/*"):
        vendor, kind = (place.read(str((device / each).relative_to(place.root))) for each in _PCI)
        if vendor == _NVIDIA and kind.startswith(_DISPLAY):
            yield device


def _toolkit(place: Place) -> tuple[int, ...]:
    for file in ("usr/local/cuda/version.json", "usr/local/cuda/version.txt"):
        match = re.search(r"CUDA[^\d]*?(\d+)\.(\d+)", place.read(file))
        if match:
            return int(match[1]), int(match[2])
    return ()


def _runtimes(place: Place) -> Iterable[int]:
    """Find CUDA runtimes where the loader, or a package of NVIDIA's, would have them."""
    folders = [
        *place.found("usr/local/cuda*/lib64", "usr/local/cuda*/targets/*/lib"),
        *place.found("usr/lib", "usr/lib64", "usr/lib/*-linux-gnu", "usr/lib/*-linux-gnu/nvidia"),
        *map(Path, filter(None, place.environment.get("LD_LIBRARY_PATH", "").split(":"))),
        *(file for each in place.path for file in glob(Path(each), "nvidia/*/lib")),
    ]
    for folder in folders:
        for file in glob(folder, "libcudart.so.*"):
            match = re.fullmatch(r"libcudart\.so\.(\d+)(?:\..*)?", file.name)
            if match:
                yield int(match[1])
