"""What is said of a plan, or of why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mmedge.calibration.trial import SUBSETS, Trial, clips_to_judge
from mmedge.proof.paired import Drop, samples_needed

__all__ = ["SLOWER", "few_layers", "otherwise", "refuted", "summed_up", "unproven", "waiver"]

SLOWER = "no encoder is faster in INT8 within the limit; fp32 stays the plan for this CPU"


def few_layers(precision: str, least: int, there: int) -> str:
    """Say that a precision was asked for that takes more layers than can be INT8."""
    return (
        f"precision {precision} takes at least {least} that can be INT8, each without the others, "
        f"of the encoders' layers; there {'is' if there == 1 else 'are'} {there or 'none'}"
    )


def otherwise(precision: str, asked: str) -> str:
    """Say that what passes is not what was asked for."""
    return f"what stays within the limit is {precision}, and precision {asked} was asked for"


def unproven(trial: Trial) -> str:
    """Say why a trial did not pass, and what would help."""
    if not trial.drops:
        return _no_number(trial)
    if not trial.within and not trial.hopeless:
        return _lost(trial)
    few = {task: drop for task, drop in trial.drops.items() if trial.hopeless_alone(drop)}
    task, drop = _worst(few or trial.drops)
    needed = samples_needed(drop, trial.max_drop)
    more = f"about {needed} samples" if needed else "more samples"
    if needed is None and few:  # a plan that loses nothing would need these
        more = f"at least {samples_needed(replace(drop, value=0.0, discordant=0), trial.max_drop)}"
    ways = [f"Give {more} for that part (two fifths of all)", "allow more with --max-drop"]
    if trial.within:
        ways.append("take it with --accept-unproven")
    return (
        f"the best plan loses {max(0.0, drop.value):.2f} points of the {drop.metric} of {task!r} "
        f"on the {drop.samples} samples of the search part, but these prove only that it is at "
        f"most {drop.bound:.2f}, and {trial.max_drop:g} are allowed. "
        f"{', '.join(ways[:-1])}, or {ways[-1]}"
    )


def _no_number(trial: Trial) -> str:
    said = "every plan that was tried answers with NaN or infinity, and fp32 does not: "
    if trial.candidate.rest == "fp16":
        return (
            f"{said}values pass FP16's range on clips unlike those of the ranges part. Give more "
            "clips, or take --target cpu"
        )
    return f"{said}clips of the search part are unlike those of the ranges part. Give more clips"


def _lost(trial: Trial) -> str:
    task, drop = max(trial.drops.items(), key=lambda each: each[1].value)
    said = (
        f"no plan stays within {trial.max_drop:g} points: the best one loses "
        f"{drop.value:.2f} points ({drop.metric} of {task!r})"
    )
    each = [(value, name, of) for name, row in trial.subsets.items() for of, value in row.items()]
    if each:
        value, name, of = max(each)
        said += (
            f", and {value:.2f} of {of!r} with {name} alone, where "
            f"{SUBSETS * trial.max_drop:g} are allowed"
        )
    return (
        f"{said}{_unjudged(trial)}. Allow more with --max-drop, or train with quantisation in mind"
    )


def refuted(trial: Trial, reported: Trial) -> str:
    """Say that samples which no decision has seen speak against a plan."""
    loses = f"loses {reported.worst_value:.2f}" if reported.drops else "gives NaN or infinity"
    return (
        f"a plan that loses {trial.worst_value:.2f} points on the search part {loses} "
        "on samples that no decision has seen: the two parts differ "
        "too much. Give samples of more speakers, sessions or sites"
    )


def waiver(trial: Trial) -> str:
    """Say what was accepted without proof."""
    if trial.worst_bound <= trial.max_drop:
        return ""
    task, drop = _worst(trial.drops)
    return (
        f"{drop.metric} of {task!r}: {drop.value:.2f} points were lost on {drop.samples} samples, "
        f"which prove at most {drop.bound:.2f}; {trial.max_drop:g} were allowed"
    )


def summed_up(trial: Trial, reported: Trial) -> str:
    """Sum up a plan in a sentence."""
    said = (
        f"INT8 share {trial.share:.0%}; loses {max(0.0, trial.worst_value):.2f} points, at most "
        f"{trial.worst_bound:.2f}; {max(0.0, reported.worst_value):.2f} on unseen samples, at most "
        f"{reported.worst_bound:.2f}{_unjudged(trial)}"
    )
    if trial.ratio is not None:
        slower = "" if trial.ratio < 1 else "; slower than fp32, so not recommended on this CPU"
        return f"{said}; {trial.ratio:.2f} of fp32's time on this CPU{slower}"
    return f"{said}; simulated, until 'mmedge eval' has run it on a GPU"


def _worst(drops: Mapping[str, Drop]) -> tuple[str, Drop]:
    return max(drops.items(), key=lambda each: each[1].bound)


def _unjudged(trial: Trial) -> str:
    """Name the subsets that have too few clips to say anything."""
    if not trial.unjudged:
        return ""
    named = [f"{name} ({min(each.values())})" for name, each in trial.unjudged.items()]
    return (
        f"; too few clips to judge what is lost with {', '.join(named)} alone: it takes "
        f"{clips_to_judge(trial.max_drop)} in the search part"
    )
