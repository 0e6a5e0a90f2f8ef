"""Which plan of a bundle runs on this machine, and which must not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from mmedge.errors import IncompatibleError
from mmedge.manifest import Plan
from mmedge.runtime.backends.instructions import Cpu, lacking, this_cpu
from mmedge.specs.plan import lowest_plan, plan_named

__all__ = ["AUTO", "Choice", "choose_plan", "imitates", "refuse_imitation"]

AUTO = "auto"
TENSORRT = ("tensorrt", "tensorrt-rtx", "onnxruntime-tensorrt")
"""Backends that compute plans for TensorRT as they were made."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A plan, and what there is to say of the choice; nothing where it goes without saying."""

    plan: str
    why: str
    backend: str = "cpu"

    def __str__(self) -> str:
        where = "" if self.backend == "cpu" else f"backend {self.backend}, "
        return f"{where}plan {self.plan}: {self.why}" if self.why else ""


def choose_plan(
    plans: Mapping[str, Plan],
    wanted: str,
    backend: str,
    *,
    threads: int | None = None,
    cpu: Cpu | None = None,
) -> Choice:
    """Find the plan that is meant, and refuse one that this machine would compute wrongly.

    ``auto`` takes, on the backend ``cpu``, the plan for CPUs that was measured to be the
    fastest on a machine like this one, if it is faster than ``fp32`` and right here; where
    TensorRT computes, the plan for it of the lowest precision; else ``fp32``.

    Args:
        plans: the bundle's.
        wanted: the name of one, or ``auto``.
        backend: what is to run it.
        threads: CPU threads inside one operator; ``None`` for as many as there are cores.
        cpu: the machine's; ``None`` for this one's.

    Raises:
        ConfigError: there is no such plan.
        IncompatibleError: it needs instructions that this CPU lacks, or the backend would
            compute something else.
    """
    cpu = cpu or this_cpu()
    if wanted == AUTO:
        return _automatic(plans, backend, cpu, threads)
    plan = plan_named(plans, wanted)
    if imitates(plan, backend):
        why = f"it is for TensorRT; the backend {backend!r} only imitates it, in float"
        return Choice(wanted, why)
    if plan.target == "cpu" and backend in (*TENSORRT, "cuda"):
        raise IncompatibleError(
            f"plan {wanted!r} is for CPUs, and the backend {backend!r} would compute something "
            "else of it. Take --plan auto."
        )
    if backend == "openvino" and plan.precision != "fp32":
        # Seen with 2026.4: the demo's INT8 plans answered 1.3 and 2.6 times as far off as allowed.
        raise IncompatibleError(
            f"plan {wanted!r} is not float32, and OpenVINO would use integers of its own, "
            "not by those that were proven. Take --plan fp32, or --backend cpu."
        )
    missing = lacking(plan.instructions, cpu) if backend == "cpu" else ()
    if missing:
        raise IncompatibleError(
            f"plan {wanted!r} needs {', '.join(missing)}, which this CPU ({cpu.name}) lacks: its "
            "sums of 8-bit products would saturate, and the predictions be wrong without a word. "
            "Take --plan fp32, or run 'mmedge calibrate' on this machine."
        )
    return Choice(wanted, "")


def imitates(plan: Plan, backend: str) -> bool:
    """Whether a backend only imitates what a plan was made for, in float and slowly."""
    if plan.target != "tensorrt":
        return False
    return backend == "cpu" or (backend == "cuda" and plan.precision != "fp16")


def refuse_imitation(plans: Mapping[str, Plan], name: str, backend: str) -> None:
    """Refuse to serve live from an imitation.

    Raises:
        IncompatibleError: it would be one.
    """
    if name in plans and imitates(plans[name], backend):
        raise IncompatibleError(
            f"plan {name!r} is for TensorRT, and the backend {backend!r} only imitates it, more "
            "slowly than fp32: good to predict files with and to verify, but not to serve. Take "
            "--plan auto, or the backend that it was made for."
        )


def _automatic(plans: Mapping[str, Plan], backend: str, cpu: Cpu, threads: int | None) -> Choice:
    if backend == "cpu":
        return _fastest(plans, cpu, threads)
    if backend not in TENSORRT or len(plans) == 1:
        return Choice("fp32", "")
    made = lowest_plan(plans, "tensorrt")
    if made is None:
        return Choice("fp32", "the bundle has no plan for TensorRT")
    return Choice(made, "made for TensorRT")


def _fastest(plans: Mapping[str, Plan], cpu: Cpu, threads: int | None) -> Choice:
    """Choose by what was measured on CPUs of this model."""
    if len(plans) == 1:
        return Choice("fp32", "")
    made = {name: plan for name, plan in plans.items() if plan.target == "cpu"}
    if not made:
        return Choice("fp32", "the bundle has no plan for CPUs")
    right = {name: plan for name, plan in made.items() if not lacking(plan.instructions, cpu)}
    if not right:
        needed = sorted({each for plan in made.values() for each in plan.instructions})
        return Choice("fp32", f"the plans for CPUs need {', '.join(needed)}, which this one lacks")
    ratios = {name: _ratio(plan, cpu, threads) for name, plan in right.items()}
    known = {name: ratio for name, ratio in ratios.items() if ratio is not None}
    if not known:
        return Choice("fp32", f"no plan was measured on this CPU ({cpu.name})")
    best = min(known, key=lambda name: known[name])
    if known[best] >= 1:
        return Choice("fp32", f"{best} takes {known[best]:.2f} of its time on this CPU")
    return Choice(best, f"{known[best]:.2f} of fp32's time, measured on this CPU ({cpu.name})")


def _ratio(plan: Plan, cpu: Cpu, threads: int | None) -> float | None:
    """Give the latency over fp32's on this CPU: with as many threads, or else the worst known."""
    wanted = threads or os.cpu_count() or 1
    here = [speed for speed in plan.speeds if speed.machine == cpu.name]
    exact = [speed.ratio for speed in here if speed.threads == wanted]
    return max(exact or [speed.ratio for speed in here], default=None)
