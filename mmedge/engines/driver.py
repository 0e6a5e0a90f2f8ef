"""The NVIDIA driver of this machine, asked before anything else of CUDA or TensorRT is touched.

Without a driver that works, TensorRT's ``Runtime`` and ``Builder`` may end the process instead
of raising an error. The driver's own library says so: it is asked here through ctypes, and
nothing else of NVIDIA's is loaded before it has answered (CUDA Driver API: cuInit, device
management).
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmedge.errors import IncompatibleError

__all__ = ["Driver", "Gpu", "probe"]

Load = Callable[[str], Any]

# CUresult (cuda.h) -> what it means, and what to do.
_FAILURES = {
    3: ("CUDA is shutting down", "start the command again"),
    34: (
        "the libcuda that was found is the stub that CUDA's development files bring",
        "take its folder (.../lib64/stubs) out of LD_LIBRARY_PATH, and install the driver",
    ),
    100: ("it finds no GPU", "see that 'nvidia-smi' lists one, and give containers --gpus all"),
    803: (
        "its library and its kernel module are of different versions",
        "restart the machine: the driver was updated while it ran",
    ),
    804: (
        "CUDA's forward compatibility package does not support this GPU",
        "take its folder (.../compat) out of LD_LIBRARY_PATH",
    ),
    999: ("it fails for an unknown reason", "restart the machine; see 'dmesg' for lines of NVRM"),
}
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
_KERNEL_FILES = (Path("/proc/driver/nvidia/version"), Path("/etc/nv_tegra_release"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU.

    Attributes:
        name: as the driver says it, such as ``Orin``.
        capability: compute capability, such as ``(8, 7)``.
        memory_bytes: all of it; on a Jetson the board's, which the CPU shares.
        uuid: of this very device, ``GPU-...``; empty where the driver tells none.
    """

    name: str
    capability: tuple[int, int]
    memory_bytes: int
    uuid: str

    @property
    def sm(self) -> str:
        """The capability as compilers write it, such as ``sm87``."""
        return f"sm{self.capability[0]}{self.capability[1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A driver that works.

    Attributes:
        version: the newest CUDA that it runs, such as ``(12, 6)``.
        kernel: version of its kernel module, such as ``540.4.0``; empty where none is told.
        gpus: those that this process may use, at least one.
    """

    version: tuple[int, int]
    kernel: str
    gpus: tuple[Gpu, ...]


def probe(load: Load | None = None) -> Driver:
    """Ask the driver for its GPUs.

    Args:
        load: opens a shared library by name; left out, the system's.

    Raises:
        IncompatibleError: there is no driver, it does not work, or it finds no GPU; the
            message is one line with a remedy.
    """
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        cuda = (load or ctypes.CDLL)(name)
    except OSError as exc:
        raise IncompatibleError(
            f"there is no NVIDIA driver here ({name} cannot be loaded). Install it; a container "
            "needs --gpus all, and on a Jetson --runtime nvidia."
        ) from exc
    _call(cuda, "cuInit", 0)
    version, count = ctypes.c_int(), ctypes.c_int()
    _call(cuda, "cuDriverGetVersion", ctypes.byref(version))
    _call(cuda, "cuDeviceGetCount", ctypes.byref(count))
    if count.value < 1:
        raise _failed(100)
    return Driver(
        version=(version.value // 1000, version.value % 1000 // 10),
        kernel=read_kernel(),
        gpus=tuple(_gpu(cuda, index) for index in range(count.value)),
    )


def read_kernel(files: tuple[Path, ...] = _KERNEL_FILES) -> str:
    """Give the version of the kernel module, from where Linux says it; else an empty text."""
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if match := re.search(r"\b\d{3}(?:\.\d+)+\b", text):
            return match[0]
        if match := re.search(r"# R(\d+) \(release\), REVISION: ([\d.]+)", text):
            return f"L4T {match[1]}.{match[2]}"
    return ""


def _gpu(cuda: Any, index: int) -> Gpu:
    device = ctypes.c_int()
    _call(cuda, "cuDeviceGet", ctypes.byref(device), index)
    name = ctypes.create_string_buffer(256)
    _call(cuda, "cuDeviceGetName", name, len(name), device)
    memory = ctypes.c_size_t()
    _call(cuda, "cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    capability = []
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int()
        _call(cuda, "cuDeviceGetAttribute", ctypes.byref(value), attribute, device)
        capability.append(value.value)
    return Gpu(
        name=name.value.decode(errors="replace"),
        capability=(capability[0], capability[1]),
        memory_bytes=memory.value,
        uuid=_uuid(cuda, device),
    )


def _uuid(cuda: Any, device: ctypes.c_int) -> str:
    """Give the device's identity; the second name is that of drivers before CUDA 11.4."""
    for function in ("cuDeviceGetUuid_v2", "cuDeviceGetUuid"):
        if hasattr(cuda, function):
            raw = (ctypes.c_ubyte * 16)()
            _call(cuda, function, ctypes.byref(raw), device)
            return f"GPU-{uuid.UUID(bytes=bytes(raw))}"
    return ""


def _call(cuda: Any, function: str, *arguments: Any) -> None:
    code = getattr(cuda, function)(*arguments)
    if code != 0:
        raise _failed(code)


def _failed(code: int) -> IncompatibleError:
    what, remedy = _FAILURES.get(code, ("it fails", "see what 'nvidia-smi' says of it"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if code == 100 and visible is not None:
        what, remedy = f"CUDA_VISIBLE_DEVICES={visible!r} leaves it no GPU", "unset that variable"
    return IncompatibleError(
        f"the NVIDIA driver here does not work: {what} (CUresult {code}). To mend it, {remedy}."
    )
