"""From a bundle to what is fastest here: in processes of their own, in turn, then verified."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from mmedge.bundle import Bundle, open_bundle
from mmedge.errors import IncompatibleError, MmedgeError
from mmedge.proof.bench.alone import alone
from mmedge.proof.bench.config import BenchConfig
from mmedge.proof.bench.contestant import Contestant
from mmedge.proof.bench.found import STEADY, Bench, Row, Turn, make_row
from mmedge.proof.bench.power import Meter, find_meter
from mmedge.proof.turns import rounds_of
from mmedge.runtime.backends import BACKENDS
from mmedge.runtime.machine import Machine, installed, this_machine, versions
from mmedge.runtime.measured import REFERENCE, Record, fastest, save_record
from mmedge.runtime.plans import choose_plan, refuse_imitation
from mmedge.specs.plan import plan_named

__all__ = ["bench_bundle"]

Say = Callable[[str], None]
FLOAT = "fp32"


def bench_bundle(config: BenchConfig, say: Say = lambda _: None) -> Bench:
    """Measure every backend and plan that runs here, side by side, and say which to take.

    Each is opened in a process of its own as `serve` would open it, is warmed up, and has its
    turns between those of the others. Only what the bundle's proof holds for is taken.

    Args:
        config: what to measure.
        say: told what is under way.

    Raises:
        ConfigError: no such plan.
        ArtefactError: the bundle is damaged.
        IncompatibleError: a backend that was asked for cannot run here, or none can.
        ResourceError: the memory does not suffice.
    """
    bundle = open_bundle(config.bundle)
    bundle.check()
    left_out: dict[str, MmedgeError] = {}
    with alone(say), ExitStack() as stack:
        pairs, unfit = _pairs(bundle, config)
        opened = _open(pairs, config, stack, say, left_out)
        meter, power = find_meter()
        turns = _race(list(opened), config, meter, say, left_out)
        reference = next(iter(turns.values()))
        rows = [_row(each, turns[each], reference, opened[each], say) for each in turns]
        failed = [str(each) for each in opened if str(each) in left_out]
        return _judge(
            bundle,
            config,
            rows,
            failed,
            power=power,
            rounds=len(reference),
            left_out=tuple(_reasons(left_out)),
            unfit=unfit,
        )


@contextmanager
def _leaving_out(who: object, left_out: dict[str, MmedgeError], *needed: str) -> Iterator[None]:
    """Note who cannot run here, and go on; but not if its backend is needed."""
    try:
        yield
    except MmedgeError as exc:
        if str(who).partition(" ")[0] in needed:
            raise
        left_out[str(who)] = exc


def _reasons(left_out: dict[str, MmedgeError]) -> Iterator[str]:
    """Give each reason once, with all that it keeps from running."""
    for why in dict.fromkeys(map(str, left_out.values())):
        yield f"{', '.join(name for name, each in left_out.items() if str(each) == why)}: {why}"


def _pairs(
    bundle: Bundle, config: BenchConfig
) -> tuple[list[tuple[str, str]], dict[str, dict[str, str]]]:
    """Give what may run, the reference first; and what no backend of that name should, and why."""
    plans = bundle.manifest.plans
    for name in config.plans:
        plan_named(plans, name)
    pairs: list[tuple[str, str]] = []
    unfit: dict[str, dict[str, str]] = {}
    here = installed(this_machine()) if config.first else BACKENDS
    for backend in dict.fromkeys((REFERENCE, *(config.backends or here))):
        for plan in dict.fromkeys((FLOAT, *(config.plans or plans))):
            why = _unfit(bundle, backend, plan, config.threads)
            if why and backend in config.backends and plan in config.plans:
                raise IncompatibleError(why)
            if why:
                unfit.setdefault(plan, {})[backend] = why
            else:
                pairs.append((backend, plan))
    return pairs, unfit


def _unfit(bundle: Bundle, backend: str, plan: str, threads: int | None) -> str:
    """Tell why a backend must not run a plan; nothing if it may."""
    try:
        choose_plan(bundle.manifest.plans, plan, backend, threads=threads)
        refuse_imitation(bundle.manifest.plans, plan, backend)
    except IncompatibleError as exc:
        return str(exc)
    return ""


def _open(
    pairs: list[tuple[str, str]],
    config: BenchConfig,
    stack: ExitStack,
    say: Say,
    left_out: dict[str, MmedgeError],
) -> dict[Contestant, Any]:
    """Start a process for each, and open its graphs in it."""
    opened = {}
    for backend, plan in pairs:
        say(f"open {backend} {plan}")
        contestant = stack.enter_context(Contestant(backend, plan))
        with _leaving_out(contestant, left_out, *config.backends):
            opened[contestant] = contestant.open(config.bundle, config.threads)
        if contestant not in opened:
            contestant.close()
    if not opened:
        raise next(iter(left_out.values()))
    return opened


def _race(
    contestants: list[Contestant],
    config: BenchConfig,
    meter: Meter | None,
    say: Say,
    left_out: dict[str, MmedgeError],
) -> dict[Contestant, list[Turn]]:
    """Let them run in turn, round by round; the first round warms up."""
    taken: dict[Contestant, list[Turn]] = {each: [] for each in contestants}
    limits = {"rounds": config.rounds, "least": config.least_rounds}
    for number, running in rounds_of(taken, **limits, most_s=config.most_s):
        if number % 5 in (0, 1):
            say(f"round {number} of {config.rounds}" if number else "warm up")
        for each in running:
            with _leaving_out(each, left_out, *config.backends):
                turn = _turn(each, config.turn_ms, meter)
                taken[each] += [turn] if number else []
            if str(each) in left_out:  # it failed in the middle
                del taken[each]
        if not taken:
            raise next(reversed(left_out.values()))
    return taken


def _turn(contestant: Contestant, turn_ms: float, meter: Meter | None) -> Turn:
    if meter is not None:
        meter.begin()
    came = contestant.ask("turn", ms=turn_ms, watch=meter.poll if meter else lambda: None)
    return Turn(
        stages={stage: np.array(each_ns) / 1e6 for stage, each_ns in came.items()},
        watts=meter.watts() if meter else None,
    )


def _row(
    contestant: Contestant,
    turns: list[Turn],
    reference: list[Turn],
    opened: Any,
    say: Say,
) -> Row:
    """Ask for the memory first: the proof needs more."""
    row = make_row(
        turns,
        reference,
        backend=contestant.backend,
        plan=contestant.plan,
        threads=opened["threads"],
    )
    try:
        memory = contestant.ask("memory")
        row = replace(row, peak_bytes=memory and memory["peak_bytes"])
        say(f"verify {contestant}")
        proof = contestant.ask("verify")
    except MmedgeError as exc:
        return replace(row, verified=False, problem=str(exc))
    return row if proof["passed"] else replace(row, verified=False, problem=proof["worst"])


def _judge(
    bundle: Bundle, config: BenchConfig, rows: list[Row], failed: list[str], **fields: Any
) -> Bench:
    """Choose among what was verified, and keep it."""
    machine = this_machine()
    timings = {row.timing: row for row in rows if row.verified}
    best = fastest(timings)
    record = None
    if timings:
        record = Record(
            digest=bundle.digest,
            machine=str(machine),
            # Of what was verified, as `find_record` looks at them.
            versions=versions({each.backend for each in timings}, machine),
            reference=f"{rows[0].backend} {rows[0].plan}",
            timings=tuple(timings),
            by="first run" if config.first else "bench",
        )
    return Bench(
        name=bundle.manifest.name,
        digest=bundle.digest,
        machine=str(machine),
        versions=versions({row.backend for row in rows}, machine),
        rows=tuple(rows),
        best=None if best is None else timings[best],
        record=record,
        kept=_why_not(config, failed) or _keep(record, bundle, machine),
        notes=tuple(_restless(rows)),
        **fields,
    )


def _why_not(config: BenchConfig, failed: list[str]) -> str:
    """Tell why what was found is not kept; nothing if it is."""
    if not config.complete:
        return "not kept: only some were measured"
    if config.threads is not None:
        return "not kept: it holds for these threads only; name what it says to take"
    if failed and not config.first:  # else it would be tried anew at every start
        return f"not kept: {', '.join(failed)} failed meanwhile"
    return "" if config.keep else "not kept, as asked"


def _keep(record: Record | None, bundle: Bundle, machine: Machine) -> str:
    if record is None:
        return "not kept: nothing was verified"
    try:
        return str(save_record(record, bundle, machine))
    except MmedgeError as exc:  # what was found is true all the same
        return f"not kept: {exc}"


def _restless(rows: list[Row]) -> Iterator[str]:
    """Say so where the machine was busy."""
    worst = max(rows, key=lambda row: row.moved)
    if worst.moved > STEADY:
        yield (
            f"this machine was busy: the median of {worst.backend} {worst.plan} moved by "
            f"{worst.moved:.0%} meanwhile. Ratios stand that well, times do not; end what else "
            "runs, and bench again."
        )
