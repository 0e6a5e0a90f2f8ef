"""Whether this machine can run a bundle's plans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mmedge.doctor.finding import Finding, Severity
from mmedge.doctor.machine import TENSORRTS, Machine

if TYPE_CHECKING:
    from mmedge.bundle import Bundle
    from mmedge.specs import Modality

__all__ = ["check_bundle"]


def check_bundle(machine: Machine) -> Iterator[Finding]:
    """Find what the named bundle needs and this machine lacks."""
    if machine.bundle is None:
        return
    yield from _modalities(machine, machine.bundle)
    yield from _plans(machine, machine.bundle)


def _modalities(machine: Machine, bundle: Bundle) -> Iterator[Finding]:
    for modality, spec in bundle.manifest.modalities.items():
        for module, extra, severity, without in _wanted(spec):
            imported = machine.imports.get(module)
            if imported is not None and imported.missing:
                yield Finding(
                    name="bundle-needs-package",
                    severity=severity,
                    what=f"{bundle.manifest.name} takes {modality!r} ({spec.kind}), and without "
                    f"the package '{module}' {without}",
                    remedy=f"pip install 'mmedge[{extra}]'",
                    where=module,
                )


def _wanted(spec: Modality) -> tuple[tuple[str, str, Severity, str], ...]:
    """Give what a modality needs: module, extra, how badly, and what does not work without it."""
    if spec.kind == "text":
        return (("tokenizers", "text", "error", "nothing here can read a text"),)
    if spec.kind == "sound":
        rate = f"only sound of {spec.rate_hz} Hz can be heard"
        return (
            ("sounddevice", "live", "warning", "there is no --mic"),
            ("soxr", "live", "warning", rate),
        )
    if spec.kind == "image":
        if spec.filter.startswith("pillow-"):
            return (("cv2", "opencv-headless", "warning", "there is no --camera"),)
        return (("cv2", "opencv-headless", "error", f"there is no filter '{spec.filter}'"),)
    return ()


def _plans(machine: Machine, bundle: Bundle) -> Iterator[Finding]:
    from mmedge.runtime.backends.instructions import lacking, this_cpu

    cpu = this_cpu()
    for name, plan in bundle.manifest.plans.items():
        if plan.target == "tensorrt" and not _runs_engines(machine):
            yield Finding(
                name="plan-needs-tensorrt",
                severity="warning",
                what=f"plan {name!r} of {bundle.manifest.name} is for TensorRT, which cannot run "
                "here; what else was found says why",
                remedy=f"mmedge serve {bundle.manifest.name}.mmedge --plan auto",
                where=name,
            )
        missing = lacking(plan.instructions, cpu)
        if plan.target == "cpu" and missing:
            yield Finding(
                name="plan-needs-instructions",
                severity="warning",
                what=f"plan {name!r} of {bundle.manifest.name} needs {', '.join(missing)}, which "
                f"this CPU ({cpu.name}) lacks",
                remedy=f"mmedge serve {bundle.manifest.name}.mmedge --plan fp32",
                where=name,
            )


def _runs_engines(machine: Machine) -> bool:
    has = machine.installed(*TENSORRTS) or machine.jetson.system_tensorrt
    return bool(machine.gpus.cuda and has)
