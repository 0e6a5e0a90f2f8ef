"""What was found, in words and tables."""

from __future__ import annotations

from collections.abc import Iterable

from mmedge.calibration.outcome import Calibration, Outcome
from mmedge.calibration.trial import Trial
from mmedge.manifest import Kept
from mmedge.proof.choosing import said_of_unlabelled
from mmedge.proof.drawing.markup import Markup, element, fold, joined, table

__all__ = ["facts", "kept", "left_out", "plans", "splits", "subsets", "tags"]

LISTED = 200
_PARTS = {
    "ranges": "ranges are taken from it",
    "search": "plans are chosen by it",
    "report": "no decision has seen it",
}


def plans(found: Calibration) -> Markup:
    """Tabulate the plans beside float32."""
    size = sum(ref.bytes for ref in found.bundle.manifest.plans["fp32"].graphs.values())
    reference = ("any", "fp32", "", "", "", "", "1" if _timed(found) else "", _size(size))
    rows = [reference, *map(_plan, found.outcomes)]
    names = ("target", "plan", "INT8 share", "drop", "at most", "unseen", "fp32's time", "size")
    said = (
        f"Drops are points of the worst task's metric; {found.max_drop:g} are allowed, and twice "
        "as many in any subset of the modalities. "
    )
    if _timed(found):
        said += f"Latency was measured on {found.machine}. "
    if any(each.target == "tensorrt" for each in found.outcomes):
        said += (
            "Plans for TensorRT are simulated: computed in float as TensorRT would round. Their "
            "cost is predicted; bench and eval on a device have the last word."
        )
    return joined([table(names, rows, numbers=range(2, 8)), element("p", said, class_="soft")])


def _plan(outcome: Outcome) -> tuple[str, ...]:
    trial, seen = outcome.searched, outcome.reported
    judged = trial is not None and trial.drops
    simulated = " (simulated)" if outcome.target == "tensorrt" and outcome.plan else ""
    return (
        outcome.target,
        f"{outcome.plan or 'none'}{simulated}",
        "" if trial is None else f"{trial.share:.1%}",
        f"{trial.worst_value:.2f}" if trial is not None and judged else "",
        f"{trial.worst_bound:.2f}" if trial is not None and judged else "",
        f"{seen.worst_value:.2f}" if seen is not None and seen.drops else "",
        "" if outcome.ratio is None else f"{outcome.ratio:.2f}",
        _size(outcome.bytes) if outcome.bytes else "",
    )


def _timed(found: Calibration) -> bool:
    return any(each.target == "cpu" for each in found.outcomes)


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB"


def tags(outcome: Outcome) -> Markup:
    """Say at a glance how far an outcome is to be trusted."""
    said = []
    if outcome.plan is None:
        said.append(("no plan", "warning"))
    elif outcome.target == "tensorrt":
        said.append(("simulated", "warning"))
    else:
        said.append(("measured", "good"))
    if outcome.waived:
        said.append(("not proven", "warning"))
    elif outcome.plan is not None:
        said.append(("proven", "good"))
    return joined(element("span", word, class_=f"tag {kind}") for word, kind in said)


def splits(found: Calibration) -> Markup:
    """Tabulate the three parts, and name the clips that could not be read."""
    rows = [
        (name, _PARTS.get(name, ""), f"{count:,}", f"{found.groups.get(name, 0):,}")
        for name, count in found.samples.items()
    ]
    parts = [table(("part", "", "samples", "groups"), rows, numbers=(2, 3))]
    if said := said_of_unlabelled(found.unlabelled, found.tasks):
        parts.append(element("p", said, class_="note"))
    parts += [element("p", f"{note}.", class_="note") for note in found.notes]
    if found.skipped:
        items = [element("li", each) for each in found.skipped[:LISTED]]
        if rest := found.skipped[LISTED:]:
            items.append(element("li", f"and {len(rest):,} more, which are in the JSON"))
        title = f"skipped, because they could not be read: {len(found.skipped):,}"
        parts.append(fold(title, element("ul", *items)))
    else:
        parts.append(element("p", "No clip was skipped.", class_="soft"))
    return joined(parts)


def facts(outcome: Outcome) -> Markup:
    """Tabulate what holds for each encoder, and say what was not proven."""
    parts = []
    if outcome.waived:
        parts.append(element("p", f"Accepted without proof: {outcome.waived}.", class_="note"))
    names = dict.fromkeys((*outcome.methods, *outcome.latency, *_lowered(outcome)))
    rows = []
    for name in names:
        ratio, lowered = outcome.latency.get(name), _lowered(outcome).get(name, ())
        rows.append(
            (
                name,
                str(len(lowered)),
                outcome.methods.get(name, ""),
                "" if ratio is None else f"{ratio.reference_ms:.3g}",
                "" if ratio is None else f"{ratio.ms:.3g}",
                "" if ratio is None else f"{ratio.median:.2f}",
            )
        )
    if rows:
        head = ("encoder", "layers in INT8", "ranges by", "fp32, ms", "lowered, ms", "ratio")
        width = 6 if outcome.latency else 3
        numbers = [each for each in (1, 3, 4, 5) if each < width]
        parts.append(table(head[:width], [row[:width] for row in rows], numbers=numbers))
    return joined(parts)


def _lowered(outcome: Outcome) -> dict[str, tuple[str, ...]]:
    return dict(outcome.searched.int8) if outcome.plan and outcome.searched else {}


def kept(outcome: Outcome) -> Markup:
    """List what is above the plan's precision, encoder by encoder; the front-end at last."""
    parts = []
    for name, layers in outcome.kept.items():
        front = [each for each in layers if each.why.startswith("front-end")]
        rest = [each for each in layers if not each.why.startswith("front-end")]
        counts = [f"{len(rest)} behind the front-end"]
        counts += [f"{len(front)} in it"] if front else []
        parts.append(fold(f"{name}: {', '.join(counts)}", _kept([*rest, *front])))
    return joined(parts) or element("p", "Nothing.", class_="soft")


def _kept(layers: Iterable[Kept]) -> Markup:
    rows = [(each.layer, each.precision, each.why) for each in layers]
    return table(("layer", "stays", "because"), rows)


def left_out(outcome: Outcome) -> Markup:
    """List the values of which some numbers gave no range."""
    rows = [
        (name, value, said)
        for name, each in outcome.left_out.items()
        for value, said in each.items()
    ]
    if not rows:
        return Markup("")
    return fold(
        f"Values with numbers that no range was made from: {len(rows):,}",
        table(("encoder", "value", "left out"), rows),
    )


def subsets(outcome: Outcome) -> Markup:
    """Tabulate what is lost with only some modalities present."""
    trials = {"chosen by": outcome.searched, "unseen": outcome.reported}
    known = {name: trial for name, trial in trials.items() if trial is not None}
    names = dict.fromkeys(
        (subset, task)
        for trial in known.values()
        for subset, each in trial.subsets.items()
        for task in each
    )
    if not names:
        return Markup("")
    rows = [
        (subset, task, *(_lost(trial, subset, task) for trial in known.values()))
        for subset, task in names
    ]
    head = ("present", "task", *known)
    return fold("Points lost in each subset of the modalities", table(head, rows, numbers=(2, 3)))


def _lost(trial: Trial, subset: str, task: str) -> str:
    value = trial.subsets.get(subset, {}).get(task)
    return "" if value is None else f"{value:.2f}"
