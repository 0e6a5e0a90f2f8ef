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
from mmedge.calibration.latency import Ratio
from mmedge.calibration.outcome import Outcome, Watched
from mmedge.calibration.targeting import WORTH, Searched, TargetSearch
from mmedge.calibration.trial import Trial
from mmedge.errors import ProofError
from mmedge.manifest import Kept, Plan, Speed, Tolerance
from mmedge.proof.paired import samples_needed
from mmedge.proof.verify import verify
from mmedge.runtime.backends.instructions import this_cpu

__all__ = ["Finished", "finish"]

MARGIN = 1.5
"""How much further than on this machine a plan may be from the trained model on another."""
SLOWER = "no encoder is faster in INT8 within the limit; fp32 stays the plan for this CPU"


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
        return _without(search, searched, SLOWER)
    trial, latency = searched.found.trial, dict(searched.latency)
    if trial.accepted and search.workshop.target == "cpu":
        trial, latency = _only_faster(search, trial, latency)
    if not trial.accepted:
        return _without(search, searched, _unproven(trial), trial=trial, failed=True)
    if not any(trial.int8.values()) and trial.candidate.rest == "fp32":
        return _without(search, searched, SLOWER, trial=trial)
    search.say(f"{search.workshop.target}: the samples that no decision has seen")
    bundle = search.workshop.build(trial.candidate)
    reported = reporter.judge(bundle, trial.candidate, trial.share)
    if reported.refuted:
        words = _refuted(trial, reported)
        return _without(search, searched, words, trial=trial, reported=reported, failed=True)
    return _with(search, searched, trial, reported, latency)


def _unproven(trial: Trial) -> str:
    """Say why a trial did not pass, and what would help."""
    if not trial.drops:
        return (
            "every plan that was tried answers with NaN or infinity, and fp32 does not: values "
            "pass FP16's range on clips unlike those of the ranges part. Give more clips, or "
            "take --target cpu"
        )
    task, drop = max(trial.drops.items(), key=lambda each: each[1].bound)
    if not trial.within and not trial.hopeless:
        return (
            f"no plan stays within {trial.max_drop:g} points: the best one loses "
            f"{trial.worst_value:.2f} points ({drop.metric} of {task!r}), and "
            f"{trial.worst_subset:.2f} in the worst subset of modalities. Allow more with "
            "--max-drop, or train with quantisation in mind"
        )
    needed = samples_needed(drop, trial.max_drop)
    more = f"about {needed} samples" if needed else "more samples"
    if needed is None and trial.hopeless:  # a plan that loses nothing would need these
        more = f"at least {samples_needed(replace(drop, value=0.0, discordant=0), trial.max_drop)}"
    return (
        f"the best plan loses {max(0.0, drop.value):.2f} points of the {drop.metric} of {task!r} "
        f"on the {drop.samples} samples of the search part, but these prove only that it is at "
        f"most {drop.bound:.2f}, and {trial.max_drop:g} are allowed. Give {more} for that part "
        "(two fifths of all), allow more with --max-drop, or take it with --accept-unproven"
    )


def _refuted(trial: Trial, reported: Trial) -> str:
    loses = f"loses {reported.worst_value:.2f}" if reported.drops else "gives NaN or infinity"
    return (
        f"a plan that loses {trial.worst_value:.2f} points on the search part {loses} "
        "on samples that no decision has seen: the two parts differ "
        "too much. Give samples of more speakers, sessions or sites"
    )


def _without(
    search: TargetSearch,
    searched: Searched,
    verdict: str,
    *,
    trial: Trial | None = None,
    reported: Trial | None = None,
    failed: bool = False,
) -> Finished:
    """End without a plan, and say why."""
    outcome = Outcome(
        target=search.workshop.target,
        plan=None,
        verdict=verdict,
        precision="fp32",
        searched=trial,
        reported=reported,
        trials=searched.found.trials if searched.found else (),
        units=searched.units,
        latency=searched.latency,
        left_out=_left_out(search),
    )
    return Finished(outcome=outcome, failed=failed)


def _only_faster(
    search: TargetSearch, trial: Trial, latency: dict[str, Ratio]
) -> tuple[Trial, dict[str, Ratio]]:
    """Leave in float32 what is no faster with some of its layers restored."""
    methods = trial.candidate.methods
    timed = {n: search.time(n, frozenset(each), methods) for n, each in trial.int8.items()}
    slow = {n for n, ratio in timed.items() if ratio.median >= WORTH}
    latency = {**latency, **timed}
    if not slow or search.config.precision == "int8":
        return trial, latency
    kept = {name: layers for name, layers in trial.candidate.int8.items() if name not in slow}
    return search.attempt(replace(trial.candidate, int8=kept)), latency


def _with(
    search: TargetSearch,
    searched: Searched,
    trial: Trial,
    reported: Trial,
    latency: Mapping[str, Ratio],
) -> Finished:
    """Name the plan, and say what it may differ and how sure it is."""
    target = search.workshop.target
    bundle = search.workshop.build(trial.candidate)
    draft = bundle.manifest.plans[CANDIDATE]
    restored = _restored(search, searched, trial)
    precision: Literal["fp16", "int8", "mixed"] = "mixed" if restored else "int8"
    if not any(draft.int8.values()):
        precision = "fp16"
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
            "waived": _waiver(trial),
        }
    )
    files = {ref.name: bundle.files[ref.name] for ref in plan.graphs.values()}
    outcome = Outcome(
        target=target,
        plan=f"{precision}_{target}",
        verdict=_verdict(trial, reported),
        precision=precision,
        searched=trial,
        reported=reported,
        trials=searched.found.trials if searched.found else (),
        units=searched.units,
        methods=dict(trial.candidate.methods),
        kept=plan.kept,
        latency=latency,
        ratio=trial.ratio,
        watched=_watched(search, trial),
        left_out=_left_out(search),
        bytes=sum(ref.bytes for ref in plan.graphs.values()),
        waived=plan.waived,
    )
    return Finished(outcome=outcome, plan=plan, files=files)


def _restored(
    search: TargetSearch, searched: Searched, trial: Trial
) -> dict[str, tuple[Kept, ...]]:
    """Name the layers that the search put back, and what they had cost."""
    rest = trial.candidate.rest
    noise = {pair: unit.noise for unit in searched.units for pair in unit.pairs}
    restored: dict[str, tuple[Kept, ...]] = {}
    for name, layers in searched.candidate.int8.items():
        back = layers - trial.candidate.int8.get(name, frozenset())
        kept = tuple(
            Kept(layer=each, precision=rest, why=_cost(noise.get((name, each), float("nan"))))
            for each in sorted(back)
        )
        if kept:
            restored[name] = kept
    return restored


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


def _waiver(trial: Trial) -> str:
    """Say what was accepted without proof."""
    if trial.worst_bound <= trial.max_drop:
        return ""
    task, drop = max(trial.drops.items(), key=lambda each: each[1].bound)
    return (
        f"{drop.metric} of {task!r}: {drop.value:.2f} points were lost on {drop.samples} samples, "
        f"which prove at most {drop.bound:.2f}; {trial.max_drop:g} were allowed"
    )


def _verdict(trial: Trial, reported: Trial) -> str:
    """Sum up a plan in a sentence."""
    said = (
        f"INT8 share {trial.share:.0%}; loses {max(0.0, trial.worst_value):.2f} points, at most "
        f"{trial.worst_bound:.2f}; {max(0.0, reported.worst_value):.2f} on unseen samples"
    )
    if trial.ratio is not None:
        slower = "" if trial.ratio < 1 else "; slower than fp32, so not recommended on this CPU"
        return f"{said}; {trial.ratio:.2f} of fp32's time on this CPU{slower}"
    return f"{said}; simulated, until 'mmedge eval' has run it on a GPU"


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
