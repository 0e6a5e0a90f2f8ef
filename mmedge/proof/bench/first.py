"""The first run of ``--backend auto``: a short bench of what is installed, where none was made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from mmedge.bundle import open_bundle
from mmedge.errors import ProofError
from mmedge.proof.bench.alone import alone
from mmedge.proof.bench.config import BenchConfig
from mmedge.proof.bench.found import Bench
from mmedge.proof.bench.running import bench_bundle
from mmedge.runtime.backends import BACKENDS
from mmedge.runtime.machine import missing, this_machine
from mmedge.runtime.measured import REFERENCE, FirstRun, find_record

__all__ = ["first_run"]


def first_run(bundle: Path, say: Callable[[str], None] = lambda _: None) -> FirstRun:
    """Measure what is installed for a second or two, unless a record holds already.

    It is `bench_bundle`, with fewer turns. Of several processes at once one measures, and the
    others wait for it.

    Args:
        bundle: its folder.
        say: told what is under way.

    Raises:
        ProofError: nothing that runs here gives the trained model's numbers.
        MmedgeError: as for `bench_bundle`.
    """
    with alone(say):
        known, _ = find_record(open_bundle(bundle))
        if known is not None:
            return FirstRun(record=known)
        brief = BenchConfig(
            bundle=bundle, rounds=10, turn_ms=40, most_s=2.0, least_rounds=3, first=True
        )
        found = bench_bundle(brief, say)
    if found.record is None:
        raise ProofError(
            f"no backend gives the trained model's numbers: {'; '.join(_problems(found))}"
        )
    return FirstRun(record=found.record, said=tuple(_said(found)))


def _said(found: Bench) -> Iterator[str]:
    machine = this_machine()
    lacks = {name: missing(name, machine) for name in BACKENDS if name != REFERENCE}
    told = [f"{name} (no {', '.join(what)})" for name, what in lacks.items() if what]
    if told:
        yield f"left out: {', '.join(told)}"
    for line in (*found.left_out, *_problems(found)):
        yield f"left out: {' '.join(line.split())}"
    if found.kept.startswith("not kept"):
        yield f"{found.kept} It is measured anew at the next start."


def _problems(found: Bench) -> list[str]:
    return [f"{r.backend} {r.plan}: {r.problem}" for r in found.rows if not r.verified]
