"""From a search's end to a plan that a bundle can hold: name, tolerances, confidence, proof."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from mmedge.bundle import Bundle
from mmedge.calibration.candidate import CANDIDATE
from mmedge.calibration.judging import Judge
from mmedge.calibration.outcome import Outcome, Watched
from mmedge.calibration.search import Found
from mmedge.calibration.targeting import WORTH, Searched, TargetSearch
from mmedge.calibration.trial import Trial
from mmedge.calibration.verdicts import SLOWER, otherwise, refuted, summed_up, unproven, waiver
from mmedge.errors import ProofError
from mmedge.manifest import Kept, Plan, Speed, Tolerance
from mmedge.proof.verify import verify
from mmedge.runtime.backends.instructions import this_cpu

__all__ = ["Finished", "finish"]

MARGIN = 1.5
"""How much further than on this machine a plan may be from the trained model on another."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """One target's end.

    Attributes:
        outcome: for the report.
        plan: for the bundle; ``None`` if there is none.
        files: the plan's graphs.
        failed: whether accuracy is the reason that there is none.
    """

    outcome: Outcome
    plan: Plan | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    failed: bool = False


def finish(search: TargetSearch, searched: Searched, reporter: Judge) -> Finished:
    """Turn a search's end into a plan, and try it on samples that no decision has seen."""
    if searched.found is None:
        return _without(search, searched, searched.why)
    if not searched.found.trial.accepted:
        return _without(search, searched, unproven(searched.found.trial), failed=True)
    found = searched.found
    if search.workshop.target == "cpu":
        searched, found = _only_faster(search, searched, found)
    trial, asked = found.trial, search.config.precision
    precision = _precision(searched, trial)
    if precision == "fp32" and asked != "int8":
        return _without(search, searched, SLOWER)
    if precision == "fp32" or asked not in ("auto", precision):
        return _without(search, searched, otherwise(precision, asked))
    search.say(f"{search.workshop.target}: the samples that no decision has seen")
    bundle = search.workshop.build(trial.candidate)
    reported = reporter.judge(bundle, trial.candidate, trial.share)
    if reported.refuted:
        words = refuted(trial, reported)
        return _without(search, searched, words, reported=reported, failed=True)
    return _with(search, searched, trial, reported, precision)


def _precision(searched: Searched, trial: Trial) -> Literal["fp32", "fp16", "int8", "mixed"]:
    """Name what a plan is: mixed where layers that could be INT8 are not."""
    if not any(trial.int8.values()):
        return trial.candidate.rest
    return "mixed" if _back(searched, trial) else "int8"


def _without(
    search: TargetSearch,
    searched: Searched,
    verdict: str,
    *,
    reported: Trial | None = None,
    failed: bool = False,
) -> Finished:
    """End without a plan, and say why."""
    outcome = Outcome(
        target=search.workshop.target,
        plan=None,
        verdict=verdict,
        precision="fp32",
        searched=searched.found.trial if searched.found else None,
        reported=reported,
        trials=searched.found.trials if searched.found else (),
        units=searched.units,
        latency=searched.latency,
        left_out=_left_out(search),
    )
    return Finished(outcome=outcome, failed=failed)


def _only_faster(search: TargetSearch, searched: Searched, found: Found) -> tuple[Searched, Found]:
    """Leave in float32 what is no faster with some of its layers restored.

    If that is less sure to be within the limit than what was found, this stays.
    """
    trial, methods = found.trial, found.trial.candidate.methods
    timed = {n: search.time(n, frozenset(each), methods) for n, each in trial.int8.items()}
    slow = {n for n, ratio in timed.items() if ratio.median >= WORTH}
    if slow and search.config.precision != "int8":
        kept = {name: each for name, each in trial.candidate.int8.items() if name not in slow}
        again = search.attempt(replace(trial.candidate, int8=kept))
        sure = again.passed or (again.accepted and not trial.passed)
        best = again if sure or not any(again.int8.values()) else trial
        found = replace(found, trial=best, trials=(*found.trials, again))
    return replace(searched, found=found, latency={**searched.latency, **timed}), found


def _with(
    search: TargetSearch,
    searched: Searched,
    trial: Trial,
    reported: Trial,
    precision: Literal["fp16", "int8", "mixed"],
) -> Finished:
    """Name the plan, and say what it may differ and how sure it is."""
    target = search.workshop.target
    bundle = search.workshop.build(trial.candidate)
    draft = bundle.manifest.plans[CANDIDATE]
    restored = _restored(searched, trial)
    speeds = []
    if trial.ratio is not None:
        speeds = [Speed(machine=this_cpu().name, threads=os.cpu_count() or 1, ratio=trial.ratio)]
    plan = draft.model_copy(
        update={
            "precision": precision,
            "tolerances": _tolerances(bundle),
            "kept": _merged(draft.kept, _unfit(search, trial), restored),
            "speeds": tuple(speeds),
            "temperatures": search.judge.temperatures(bundle),
            "waived": waiver(trial),
        }
    )
    files = {ref.name: bundle.files[ref.name] for ref in plan.graphs.values()}
    outcome = Outcome(
        target=target,
        plan=f"{precision}_{target}",
        verdict=summed_up(trial, reported),
        precision=precision,
        searched=trial,
        reported=reported,
        trials=searched.found.trials if searched.found else (),
        units=searched.units,
        methods=dict(trial.candidate.methods),
        kept=plan.kept,
        latency=searched.latency,
        ratio=trial.ratio,
        watched=_watched(search, trial),
        left_out=_left_out(search),
        bytes=sum(ref.bytes for ref in plan.graphs.values()),
        waived=plan.waived,
    )
    return Finished(outcome=outcome, plan=plan, files=files)


def _back(searched: Searched, trial: Trial) -> dict[str, frozenset[str]]:
    """Give the layers that the search put back, encoder by encoder."""
    given = trial.candidate.int8
    back = {n: each - given.get(n, frozenset()) for n, each in searched.candidate.int8.items()}
    return {name: layers for name, layers in back.items() if layers}


def _restored(searched: Searched, trial: Trial) -> dict[str, tuple[Kept, ...]]:
    """Name the layers that the search put back, and what they had cost."""
    rest = trial.candidate.rest
    noise = {pair: unit.noise for unit in searched.units for pair in unit.pairs}
    return {
        name: tuple(
            Kept(layer=each, precision=rest, why=_cost(noise.get((name, each), float("nan"))))
            for each in sorted(layers)
        )
        for name, layers in _back(searched, trial).items()
    }


def _cost(noise: float) -> str:
    if math.isnan(noise) or noise <= 0:
        return "restored with its neighbours, to keep the accuracy or the speed"
    return f"alone in INT8, the answers' noise is {10 * math.log10(noise):.0f} dB"


def _unfit(search: TargetSearch, trial: Trial) -> dict[str, tuple[Kept, ...]]:
    """Name the layers that were never lowered for what they take."""
    return {
        name: tuple(
            Kept(layer=layer, precision=trial.candidate.rest, why=why)
            for layer, why in material.unfit.items()
        )
        for name, material in search.workshop.materials.items()
        if material.unfit
    }


def _left_out(search: TargetSearch) -> dict[str, dict[str, str]]:
    """Collect what no range was made from."""
    materials = search.workshop.materials
    return {name: each.left_out for name, each in materials.items() if each.left_out}


def _merged(*tables: Mapping[str, tuple[Kept, ...]]) -> dict[str, tuple[Kept, ...]]:
    names = dict.fromkeys(name for table in tables for name in table)
    return {name: tuple(k for table in tables for k in table.get(name, ())) for name in names}


def _tolerances(bundle: Bundle) -> dict[Literal["cpu", "gpu"], Tolerance]:
    """What the plan differs from the trained model on the golden samples, with a margin."""
    parity = verify(bundle, plan=CANDIDATE)
    worst = max(finding.error for finding in parity.findings)
    if not math.isfinite(worst):
        raise ProofError(f"the plan gives no numbers at {parity.worst.point}; this is a bug")
    # A GPU rounds FP16 sums elsewhere.
    return {
        "cpu": Tolerance(absolute=float(f"{MARGIN * worst:.3g}"), relative=0.0),
        "gpu": Tolerance(absolute=float(f"{2 * MARGIN * worst:.3g}"), relative=0.0),
    }


def _watched(search: TargetSearch, trial: Trial) -> dict[str, tuple[Watched, ...]]:
    """Collect the values whose scales are in the plan."""
    found: dict[str, tuple[Watched, ...]] = {}
    for name, layers in trial.int8.items():
        material = search.workshop.materials[name]
        ranges = material.ranges(
            trial.candidate.methods.get(name, "min-max"),
            symmetric=search.workshop.target == "tensorrt",
        )
        values = dict.fromkeys(
            value for each in material.layers if each.name in layers for value in each.activations
        )
        found[name] = tuple(
            Watched(value=value, histogram=material.histograms[value], range=ranges[value])
            for value in values
            if value in ranges
        )
    return found
