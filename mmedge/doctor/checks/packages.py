"""Packages that are missing, of another version than mmedge takes, or broken."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mmedge.doctor.finding import Finding
from mmedge.doctor.looking.imports import Imported
from mmedge.doctor.machine import MODULES, Machine

__all__ = ["check_packages"]

# Module -> the extra that brings it, and what does not work without it.
_USES = {
    "av": ("live", "no streams with sound, no sound or video files, no recordings"),
    "cv2": ("opencv-headless", "no cameras"),
    "sounddevice": ("live", "no microphones (--mic)"),
    "soxr": ("live", "no sound of another rate than the model's"),
    "tokenizers": ("text", "no models that read text"),
}
# What a system library is in when a package asks for it in vain -> Debian's package.
_LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxcb.so.1": "libxcb1",
    "libgomp.so.1": "libgomp1",
    "libstdc++.so.6": "libstdc++6",
}


def check_packages(machine: Machine) -> Iterator[Finding]:
    """Find what pip, or apt, can mend."""
    yield from _python(machine)
    yield from _ranges(machine)
    yield from _conflicts(machine)
    for module, imported in machine.imports.items():
        if imported.missing:
            yield from _missing(module)
        elif imported.error:
            yield _broken(machine, module, imported)


def _python(machine: Machine) -> Iterator[Finding]:
    """A Jetson's own packages (TensorRT, OpenCV) are for its own Python alone."""
    system, mine = machine.software.system_python, machine.software.python[:2]
    if machine.jetson.here and system and system != mine:
        needed = ".".join(map(str, system))
        yield Finding(
            name="other-python",
            severity="error",
            what=f"this is Python {mine[0]}.{mine[1]}, and JetPack's TensorRT and OpenCV are built "
            f"for the system's {needed}: they cannot be imported here",
            remedy=f"/usr/bin/python{needed} -m venv --system-site-packages ~/mmedge",
            where="/usr/bin/python3",
        )


def _ranges(machine: Machine) -> Iterator[Finding]:
    seen: set[str] = set()
    for need in machine.needs:
        package = machine.package(need.name)
        if package is None or need.fits(package.version) or need.name in seen:
            continue
        seen.add(need.name)
        yield Finding(
            name="package-version",
            severity="warning" if need.extra else "error",
            what=f"{package} is installed, and mmedge takes {need.name}{need.range}",
            remedy=f"pip install '{need.name}{need.range}'",
            where=package.folder,
        )


def _conflicts(machine: Machine) -> Iterator[Finding]:
    """Packages that do not fit one another; each name counts once, as it is imported."""
    for name in dict.fromkeys(each.name for each in machine.packages):
        package = machine.package(name)
        if package is None or name == "mmedge":
            continue
        for need in package.needs:
            other = machine.package(need.name)
            if other is not None and not need.fits(other.version):
                yield Finding(
                    name="package-conflict",
                    severity="warning",
                    what=f"{package} needs {need.name}{need.range}, and {other} is installed",
                    remedy=f"pip install '{need.name}{need.range}'",
                    where=other.folder,
                )


def _missing(module: str) -> Iterator[Finding]:
    if module in _USES:
        extra, without = _USES[module]
        yield Finding(
            name="package-missing",
            severity="note",
            what=f"the package '{module}' is not installed: {without}",
            remedy=f"pip install 'mmedge[{extra}]'",
            where=module,
        )


def _broken(machine: Machine, module: str, imported: Imported) -> Finding:
    packages = machine.installed(*MODULES.get(module, (module.replace("_", "-"),)))
    what = f"'{module}' cannot be imported: {imported.error}"
    name, remedy = "package-broken", ""
    library = re.search(r"(lib[\w.+-]+\.so(?:\.\d+)*)", imported.error)
    if "portaudio" in imported.error.lower():
        name, remedy = "no-portaudio", "sudo apt-get install libportaudio2"
    elif "numpy" in imported.error and re.search(r"multiarray|_ARRAY_API", imported.error):
        name = "numpy-too-new"
        what += "; it was compiled for numpy 1"
        remedy = "pip install 'numpy<2'"
    elif library and library[1] in _LIBRARIES:
        remedy = f"sudo apt-get install {_LIBRARIES[library[1]]}"
    elif module == "cv2" and machine.software.system_cv2 and not packages:
        ours = "libopencv-python" in machine.jetson.debian  # NVIDIA's own
        debian = "libopencv-python" if ours else "python3-opencv"
        remedy = f"sudo apt-get install --reinstall {debian}"
    elif packages:
        pinned = f"{packages[0].name}=={packages[0].version}"
        remedy = f"pip install --force-reinstall --no-deps '{pinned}'"
    else:
        remedy = f"pip install --force-reinstall 'mmedge[{_USES.get(module, ('cpu', ''))[0]}]'"
    return Finding(
        name=name,
        severity="error",
        what=what,
        remedy=remedy,
        where=str(packages[0]) if packages else module,
    )
