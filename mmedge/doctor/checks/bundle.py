"""Whether this machine can run a bundle's plans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mmedge.doctor.finding import Finding
from mmedge.doctor.machine import TENSORRTS, Machine

if TYPE_CHECKING:
    from mmedge.bundle import Bundle

__all__ = ["check_bundle"]


def check_bundle(machine: Machine) -> Iterator[Finding]:
    """Find what the named bundle needs and this machine lacks."""
    if machine.bundle is None:
        return
    yield from _modalities(machine, machine.bundle)
    yield from _plans(machine, machine.bundle)


def _modalities(machine: Machine, bundle: Bundle) -> Iterator[Finding]:
    kinds = {modality.kind for modality in bundle.manifest.modalities.values()}
    wanted = {
        "text": (("tokenizers", "text", "tokenise"),),
        "sound": (("sounddevice", "live", "listen"), ("soxr", "live", "resample")),
        "image": (("cv2", "opencv-headless", "see"),),
    }
    for kind in sorted(kinds & set(wanted)):
        for module, extra, verb in wanted[kind]:
            imported = machine.imports.get(module)
            if imported is not None and imported.missing:
                yield Finding(
                    name="bundle-needs-package",
                    severity="error",
                    what=f"{bundle.manifest.name} takes {kind}, and without the package "
                    f"'{module}' nothing here can {verb}",
                    remedy=f"pip install 'mmedge[{extra}]'",
                    where=module,
                )


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
