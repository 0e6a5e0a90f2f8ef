"""Which backend and which plan run a bundle here: what is asked for, or what was measured."""

from __future__ import annotations

from dataclasses import replace

from mmedge.bundle import Bundle
from mmedge.errors import IncompatibleError
from mmedge.runtime.plans import AUTO, Choice, choose_plan

__all__ = ["choose"]


def choose(bundle: Bundle, backend: str, plan: str, *, threads: int | None = None) -> Choice:
    """Find the backend and the plan that are meant.

    ``auto`` for the backend takes what ``mmedge bench`` found to be the fastest of this bundle
    on this machine, and measures nothing; without its record, or with one that is not true
    any more or for so many threads, the backend ``cpu``. What is asked for by name is taken,
    whatever was measured.

    Args:
        bundle: what is to run.
        backend: the name of one, or ``auto``.
        plan: the name of one of the bundle's, or ``auto``.
        threads: as for `choose_plan`.

    Raises:
        ConfigError: there is no such plan.
        IncompatibleError: it would be computed wrongly here.
    """
    plans = bundle.manifest.plans
    if backend != AUTO:
        return replace(choose_plan(plans, plan, backend, threads=threads), backend=backend)
    from mmedge.runtime import measured  # who names a backend needs none of it

    record, stale = measured.find_record(bundle)
    if record is not None and threads not in (None, 1):
        record, stale = None, f"it was not with {threads} threads"
    wanted = None if plan == AUTO else plan
    best = measured.fastest(record.timings, wanted) if record else None
    if record is not None and best is not None:
        beside = "" if best.ratio == 1 else f", {best.ratio:.2f} of the time of {record.reference}"
        why = f"fastest here{beside}, as 'mmedge bench' measured"
        try:
            choose_plan(plans, best.plan, best.backend, threads=threads)
        except IncompatibleError as exc:
            stale = str(exc)
        else:
            return Choice(best.plan, why, best.backend)
    usual = choose_plan(plans, plan, measured.REFERENCE, threads=threads)
    told = f"what 'mmedge bench' measured does not count: {stale}" if stale else _unmeasured()
    return replace(usual, why="; ".join(filter(None, (usual.why, told))))


def _unmeasured() -> str:
    """Say that another backend might be faster; nothing where there is no other one."""
    from mmedge.runtime.machine import installed, this_machine

    others = [name for name in installed(this_machine()) if name != "cpu"]
    if not others:
        return ""
    return (
        f"nothing was measured here; 'mmedge bench' tells whether {' or '.join(others)} is faster"
    )
