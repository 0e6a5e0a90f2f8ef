"""The whole examination: look once, check everything, take secrets out."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mmedge.doctor.checks import CHECKS, Check
from mmedge.doctor.finding import Finding, Report
from mmedge.doctor.machine import MODULES, ONNXRUNTIMES, OPENCVS, TENSORRTS, Machine, look
from mmedge.doctor.place import Place
from mmedge.doctor.privacy import make_scrubber, without_values

if TYPE_CHECKING:
    from mmedge.bundle import Bundle

__all__ = ["examine", "judge"]

_REPORT = "MMEDGE_TRACEBACK=1 mmedge doctor"


def examine(place: Place | None = None, bundle: Bundle | None = None) -> Report:
    """Find what is wrong with a machine, and what mends it; nothing is changed.

    Args:
        place: the machine, or a folder that stands for one; left out, this one.
        bundle: what is to run here, if anything is.
    """
    place = place or Place()
    home = Path(place.environment.get("HOME") or Path.home())
    machine = look(place, bundle)
    scrub = make_scrubber(
        place.environment, home=str(home), user=_user(place), host=socket.gethostname()
    )
    findings = tuple(
        Finding(
            name=each.name,
            severity=each.severity,
            what=without_values(scrub(each.what)),
            remedy=scrub(each.remedy),
            where=scrub(each.where),
        )
        for each in judge(machine)
    )
    told = {subject: scrub(text) for subject, text in describe(machine).items() if text}
    return Report(machine=told, findings=findings)


def judge(machine: Machine) -> Iterator[Finding]:
    """Run every check; one that fails is a finding, and the others go on."""
    for unseen in machine.unseen:
        yield _failed(unseen)
    for check in CHECKS:
        yield from _checked(check, machine)


def _checked(check: Check, machine: Machine) -> Iterator[Finding]:
    try:
        yield from check(machine)
    except Exception as exc:  # it must not hide what the others find
        if os.environ.get("MMEDGE_TRACEBACK"):
            raise
        yield _failed(f"{check.__name__}: {type(exc).__name__}: {exc}")


def describe(machine: Machine) -> dict[str, str]:
    """Say what is here, by subject, for people; empty where there is nothing to say."""
    jetson, gpus, room, software = machine.jetson, machine.gpus, machine.room, machine.software
    others = [n for n in MODULES if n not in ("cv2", "onnxruntime")]
    gib = 2**30
    gstreamer = machine.imports["cv2"].more.get("gstreamer", "") if "cv2" in machine.imports else ""
    named = zip(gpus.names, gpus.capabilities, strict=True)
    return {
        "mmedge": _versions(machine, "mmedge"),
        "system": " ".join(
            filter(None, (platform.system(), platform.machine(), software.distribution))
        ),
        "python": ".".join(map(str, software.python)),
        "board": f"{jetson.model} (JetPack {jetson.jetpack})" if jetson.here else "",
        "power mode": "" if jetson.power is None else str(jetson.power),
        "driver": f"CUDA {'.'.join(map(str, gpus.cuda))} {gpus.kernel}" if gpus.cuda else "none",
        "gpu": ", ".join(f"{name} (sm{cap[0]}{cap[1]})" for name, cap in named),
        "cuda toolkit": ".".join(map(str, gpus.toolkit)),
        "tensorrt": _versions(machine, *TENSORRTS) or jetson.system_tensorrt,
        "onnxruntime": _versions(machine, *ONNXRUNTIMES),
        "opencv": _versions(machine, *OPENCVS) or _imported(machine, "cv2"),
        "gstreamer in opencv": gstreamer,
        "packages": _versions(machine, *(name for each in others for name in MODULES[each])),
        "memory": f"{room.available_bytes / gib:.1f} of {room.memory_bytes / gib:.1f} GiB free, "
        f"{room.swap_bytes / gib:.1f} GiB swap"
        if room.memory_bytes
        else "",
        "cameras": ", ".join(node.path for node in machine.devices.cameras),
        "microphones": ", ".join(node.path for node in machine.devices.microphones),
        "sound server": "yes" if machine.devices.sound_server else "",
    }


def _versions(machine: Machine, *names: str) -> str:
    return ", ".join(map(str, machine.installed(*names)))


def _imported(machine: Machine, module: str) -> str:
    return machine.imports[module].version if machine.works(module) else ""


def _user(place: Place) -> str:
    return next((place.environment[n] for n in ("USER", "LOGNAME") if place.environment.get(n)), "")


def _failed(what: str) -> Finding:
    return Finding(
        name="not-looked-at",
        severity="warning",
        what=f"this could not be looked at: {what}",
        remedy=_REPORT,
    )
