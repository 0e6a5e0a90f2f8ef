"""A machine, looked at once: what every check judges."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from mmedge.doctor.looking.devices import Devices, look_at_devices
from mmedge.doctor.looking.engines import KeptEngine, look_at_engines
from mmedge.doctor.looking.gpu import Gpus, look_at_gpus
from mmedge.doctor.looking.import_child import DRIVER
from mmedge.doctor.looking.imports import Imported, try_imports
from mmedge.doctor.looking.jetson import Jetson, look_at_jetson
from mmedge.doctor.looking.packages import Need, Package, find_packages, read_needs
from mmedge.doctor.looking.room import Room, look_at_room
from mmedge.doctor.looking.software import Software, look_at_software
from mmedge.doctor.place import Place

if TYPE_CHECKING:
    from mmedge.bundle import Bundle

__all__ = ["MODULES", "ONNXRUNTIMES", "OPENCVS", "TENSORRTS", "Machine", "look"]

T = TypeVar("T")

ONNXRUNTIMES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-directml",
    "onnxruntime-training",
    "ort-nightly",
    "ort-nightly-gpu",
)
"""Packages that all write into one folder, ``onnxruntime``."""
OPENCVS = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
"""Packages that all write into one folder, ``cv2``."""
TENSORRTS = (
    "tensorrt",
    *(
        f"tensorrt-{kind}"
        for kind in ("cu12", "cu12-bindings", "cu12-libs", "cu13", "cu13-bindings", "cu13-libs")
    ),
    "tensorrt-lean",
    "tensorrt-rtx",
)
MODULES = {
    "PIL": ("pillow",),
    "av": ("av",),
    "cv2": OPENCVS,
    "numpy": ("numpy",),
    "onnxruntime": ONNXRUNTIMES,
    "openvino": ("openvino",),
    "sounddevice": ("sounddevice",),
    "soxr": ("soxr",),
    "tokenizers": ("tokenizers",),
}
"""What a device imports -> the packages that bring it. torch, which takes seconds, is none."""
_OTHERS = ("cuda-python", "cuda-bindings", "ml-dtypes", "mmedge", "onnx", "pip", "torch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What was found.

    Attributes:
        packages: every copy of those that matter here.
        needs: what mmedge's own metadata ask for.
        imports: how importing went, by module.
        engines: those that are kept.
        bundle: the one that is to run here, if one was named.
        unseen: what could not be looked at, and why.
    """

    software: Software = field(default_factory=Software)
    packages: tuple[Package, ...] = ()
    needs: tuple[Need, ...] = ()
    imports: Mapping[str, Imported] = field(default_factory=dict)
    jetson: Jetson = field(default_factory=Jetson)
    gpus: Gpus = field(default_factory=Gpus)
    devices: Devices = field(default_factory=Devices)
    engines: tuple[KeptEngine, ...] = ()
    room: Room = field(default_factory=Room)
    bundle: Bundle | None = None
    unseen: tuple[str, ...] = ()

    def package(self, name: str) -> Package | None:
        """Give the copy of a package that is imported."""
        return next((each for each in self.packages if each.name == name), None)

    def installed(self, *names: str) -> tuple[Package, ...]:
        """Give those of some packages that are installed, one copy each."""
        found = (self.package(name) for name in names)
        return tuple(each for each in found if each is not None)

    def works(self, module: str) -> bool:
        """Whether a module can be imported."""
        return module in self.imports and self.imports[module].works


def look(place: Place, bundle: Bundle | None = None) -> Machine:
    """Look at everything once; what cannot be looked at is said, and not raised.

    Args:
        place: the machine, or a folder that stands for one.
        bundle: the one that is to run here.
    """
    unseen: list[str] = []

    def careful(what: str, looking: Callable[[], T], otherwise: T) -> T:
        try:
            return looking()
        except Exception as exc:  # whatever is broken here must not keep the rest from being seen
            if os.environ.get("MMEDGE_TRACEBACK"):
                raise
            unseen.append(f"{what}: {type(exc).__name__}: {exc}")
            return otherwise

    no_needs: tuple[Need, ...] = ()
    no_packages: tuple[Package, ...] = ()
    no_engines: tuple[KeptEngine, ...] = ()
    no_imports: dict[str, Imported] = {}
    needs = careful("what mmedge needs", lambda: read_needs(place.path), no_needs)
    packages = careful("packages", lambda: find_packages(place.path, _names(needs)), no_packages)
    imports = careful("imports", lambda: try_imports(place, (DRIVER, *MODULES)), no_imports)
    driver = imports.pop(DRIVER, Imported())
    gpus = careful("the GPU", lambda: look_at_gpus(place, driver), Gpus())
    if gpus.cuda:  # TensorRT may end a process that has no driver
        tried = [name for name in ("tensorrt", "tensorrt_rtx") if _has(packages, name)]
        imports = {**imports, **careful("TensorRT", lambda: try_imports(place, tried), no_imports)}
    return Machine(
        software=careful("software", lambda: look_at_software(place), Software()),
        packages=packages,
        needs=needs,
        imports=imports,
        jetson=careful("the board", lambda: look_at_jetson(place), Jetson()),
        gpus=gpus,
        devices=careful("devices", lambda: look_at_devices(place), Devices()),
        engines=careful("kept engines", lambda: look_at_engines(place), no_engines),
        room=careful("memory and disks", lambda: look_at_room(place), Room()),
        bundle=bundle,
        unseen=tuple(unseen),
    )


def _names(needs: tuple[Need, ...]) -> tuple[str, ...]:
    brought = (name for names in MODULES.values() for name in names)
    return tuple(dict.fromkeys((*brought, *TENSORRTS, *_OTHERS, *(each.name for each in needs))))


def _has(packages: tuple[Package, ...], module: str) -> bool:
    return any(each.name == module.replace("_", "-") for each in packages)
