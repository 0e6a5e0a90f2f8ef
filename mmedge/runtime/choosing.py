"""Which backend and which plan run a bundle here: what is asked for, or what was measured."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from mmedge.bundle import Bundle
from mmedge.errors import IncompatibleError
from mmedge.runtime.plans import AUTO, Choice, choose_plan
from mmedge.specs.plan import plan_named

if TYPE_CHECKING:
    from mmedge.runtime.measured import Record

__all__ = ["choose"]

_log = logging.getLogger(__name__)

_BY = {"bench": "'mmedge bench'", "first run": "the first run"}


def choose(
    bundle: Bundle, backend: str, plan: str, *, threads: int | None = None, measure: bool = False
) -> Choice:
    """Find the backend and the plan that are meant.

    ``auto`` for the backend takes what was measured to be the fastest of this bundle on this
    machine, by ``mmedge bench`` or by a first run. Without a record, or with one that is not
    true any more or for so many threads, it takes the backend ``cpu``. What is asked for by
    name is taken, whatever was measured.

    Args:
        bundle: what is to run.
        backend: the name of one, or ``auto``.
        plan: the name of one of the bundle's, or ``auto``.
        threads: as for `choose_plan`.
        measure: make that first run, where ``auto`` has no record and something else than
            ``cpu`` is installed: some seconds, once.

    Raises:
        ConfigError: there is no such plan.
        IncompatibleError: it would be computed wrongly here.
    """
    plans = bundle.manifest.plans
    if backend != AUTO:
        return replace(choose_plan(plans, plan, backend, threads=threads), backend=backend)
    from mmedge.runtime import measured  # who names a backend needs none of it

    wanted = None if plan == AUTO else plan
    if wanted is not None:
        plan_named(plans, wanted)
    record, told = _known(bundle, threads, measure)
    best = measured.fastest(record.timings, wanted) if record else None
    if record is not None and best is not None:
        beside = "" if best.ratio == 1 else f", {best.ratio:.2f} of the time of {record.reference}"
        why = f"fastest here{beside}, as {_BY[record.by]} measured"
        try:
            choose_plan(plans, best.plan, best.backend, threads=threads)
        except IncompatibleError as exc:
            told = f"what was measured does not count: {exc}"
        else:
            return Choice(best.plan, why, best.backend)
    usual = choose_plan(plans, plan, measured.REFERENCE, threads=threads)
    return replace(usual, why="; ".join(filter(None, (usual.why, told))))


def _known(bundle: Bundle, threads: int | None, measure: bool) -> tuple[Record | None, str]:
    """Give what was measured, now if never before; else what there is to say of it."""
    from mmedge.runtime.machine import installed, this_machine
    from mmedge.runtime.measured import REFERENCE, find_record

    record, stale = find_record(bundle)
    usual = threads in (None, 1)
    if record is not None and usual:
        return record, ""
    others = [name for name in installed(this_machine()) if name != REFERENCE]
    if others and measure and usual and bundle.path is not None:
        from mmedge.runtime.first_run import first_run

        why = f" ({stale})" if stale else ""
        each = ", ".join((REFERENCE, *others))
        _log.warning("first run here%s: measuring %s, which takes some seconds", why, each)
        try:
            return first_run(bundle.path, bundle.digest), ""
        except IncompatibleError as exc:
            return None, f"nothing could be measured here: {exc}"
    if record is not None:
        stale = f"it was not with {threads} threads"
    if stale:
        return None, f"what was measured does not count: {stale}"
    ask = f"'mmedge bench' tells whether {' or '.join(others)} is faster"
    return None, f"nothing was measured here; {ask}" if others else ""
