"""OpenCV: one copy, and with GStreamer where a Jetson's own camera needs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmedge.doctor.finding import Finding, Severity
from mmedge.doctor.machine import OPENCVS, Machine

__all__ = ["check_opencv"]


def check_opencv(machine: Machine) -> Iterator[Finding]:
    """Find copies that hide one another."""
    wheels = machine.installed(*OPENCVS)
    if len(wheels) > 1:
        yield Finding(
            name="two-opencvs",
            severity="warning",
            what=f"{' and '.join(map(str, wheels))} are both installed, in one folder: the one "
            "that came last has overwritten parts of the other",
            remedy=f"pip uninstall -y {' '.join(each.name for each in wheels)} "
            f"&& pip install {wheels[-1].name}",
            where=wheels[0].folder,
        )
    yield from _hidden(machine)
    if machine.devices.csi and not machine.devices.argus:
        yield Finding(
            name="no-argus",
            severity="error",
            what="GStreamer lacks nvarguscamerasrc: CSI cameras (--camera csi) cannot be opened",
            remedy="sudo apt-get install nvidia-l4t-gstreamer",
            where="/usr/lib/aarch64-linux-gnu/gstreamer-1.0",
        )


def _hidden(machine: Machine) -> Iterator[Finding]:
    """A wheel from pip hides the system's OpenCV, and has no GStreamer."""
    system, imported = machine.software.system_cv2, machine.imports.get("cv2")
    wheels = machine.installed(*OPENCVS)
    if not system or imported is None or imported.error:
        return
    if str(imported.more.get("gstreamer", "NO")).startswith("YES"):
        return
    if imported.works and Path(imported.file).is_relative_to(_folder(system)):
        return
    severity: Severity = "error" if machine.devices.csi else "warning"
    remedies = []
    if machine.software.isolated:
        remedies.append(machine.software.opening)
        why = "this environment does not see the system's packages"
    else:
        why = f"{wheels[0] if wheels else 'another copy'} comes before it"
    if wheels:
        remedies.append(f"pip uninstall -y {' '.join(each.name for each in wheels)}")
    yield Finding(
        name="opencv-hidden",
        severity=severity,
        what=f"the system's OpenCV ({system}) is hidden: {why}. The one that is used has no "
        "GStreamer, and CSI cameras (--camera csi) need it",
        remedy=" && ".join(remedies) or f"PYTHONPATH={_folder(system)} mmedge doctor",
        where=imported.file or system,
    )


def _folder(module: str) -> str:
    """Give the folder that a module lies in."""
    return str(Path(module).parent)
