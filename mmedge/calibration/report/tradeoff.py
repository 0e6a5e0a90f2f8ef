"""The picture of what accuracy costs: each trial's drop and its bound, against its latency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mmedge.calibration.outcome import Outcome
from mmedge.calibration.trial import Trial
from mmedge.proof.drawing.axes import Axis, ticks
from mmedge.proof.drawing.markup import Markup, element, fold, joined, table

__all__ = ["draw_tradeoff"]

WIDTH, HEIGHT = 360.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 34.0, 348.0, 22.0, 210.0
HEADROOM = 6.0
"""The picture ends at so many times the limit, if the plan is below; others stand at its edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """A trial in the picture: what it costs, what it loses, and how it is drawn."""

    trial: Trial
    cost: float
    kind: str


def draw_tradeoff(outcome: Outcome, max_drop: float) -> Markup:
    """Draw all trials of a target, the limit, and float32; below, the same as a table."""
    points = _points(outcome)
    if not points:
        return element("p", "Nothing was tried.", class_="soft")
    cpu = outcome.target == "cpu"
    costs = [each.cost for each in points] + [1.0 if cpu else 0.0]
    room = 0.08 * (max(costs) - min(costs)) or 0.1
    across = Axis(
        max(0.0, min(costs) - room) if cpu else 0.0, max(costs) + room, LEFT + 8, RIGHT - 8
    )
    up = Axis(
        1.2 * min(0.0, *(p.trial.worst_value for p in points)), _top(points, max_drop), BOTTOM, TOP
    )
    words = _words(outcome)
    picture = element(
        "svg",
        element("title", f"{outcome.target}: drop against {words}"),
        _grid(across, up, percent=not cpu),
        *(_mark(each, across, up) for each in points),
        _limit(up, max_drop),
        element("text", "points lost", x=2.0, y=TOP - 8, class_="soft"),
        element("text", words, x=(LEFT + RIGHT) / 2, y=HEIGHT - 8, text_anchor="middle"),
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        class_="picture",
        role="img",
    )
    caption = "Points of the worst task's metric that are lost, and what they are at most (95 %)."
    return element(
        "figure", picture, _legend(outcome), element("figcaption", caption), _list(outcome)
    )


def _points(outcome: Outcome) -> list[_Point]:
    """Order them so that the plan is drawn last; what is not finite is only listed."""
    points = []
    for trial in _trials(outcome):
        kind = "plan" if trial is outcome.searched and outcome.plan else "trial"
        points.append((trial, kind))
    points.sort(key=lambda each: each[1] == "plan")
    if outcome.reported is not None:
        points.append((outcome.reported, "unseen"))
    found = []
    for trial, kind in points:
        # On the samples that no decision has seen nothing is timed: the graphs are the same.
        ratio = outcome.ratio if kind == "unseen" else trial.ratio
        cost = ratio if outcome.target == "cpu" else 1 - trial.share
        if cost is not None and trial.drops and math.isfinite(trial.worst_bound):
            found.append(_Point(trial=trial, cost=cost, kind=kind))
    return found


def _trials(outcome: Outcome) -> tuple[Trial, ...]:
    """All that was tried; what was left out of the plan at the end for its speed as well."""
    last = outcome.searched
    if last is None or any(each is last for each in outcome.trials):
        return outcome.trials
    return (*outcome.trials, last)


def _top(points: Sequence[_Point], max_drop: float) -> float:
    highest = max(each.trial.worst_bound for each in points)
    mattering = [each.trial.worst_bound for each in points if each.kind != "trial"]
    return 1.08 * max(min(highest, HEADROOM * max_drop), *mattering, 1.5 * max_drop)


def _words(outcome: Outcome) -> str:
    if outcome.target == "cpu":
        return "time over fp32's, measured on this CPU"
    return "multiply-accumulates above INT8 (cost as predicted)"


def _grid(across: Axis, up: Axis, *, percent: bool) -> Markup:
    parts = []
    for number in ticks(up.low, up.high, 5):
        y = up.at(number)
        parts += [
            element("line", x1=LEFT, x2=RIGHT, y1=y, y2=y, class_="grid"),
            element("text", f"{number:g}", x=LEFT - 5, y=y + 4, text_anchor="end"),
        ]
    for number in ticks(across.low, across.high, 5):
        x = across.at(number)
        said = f"{100 * number:g} %" if percent else f"{number:g}"
        parts += [
            element("line", x1=x, x2=x, y1=BOTTOM, y2=BOTTOM + 4, class_="axis"),
            element("text", said, x=x, y=BOTTOM + 17, text_anchor="middle"),
        ]
    if not percent:
        x = across.at(1.0)
        parts.append(element("line", x1=x, x2=x, y1=TOP, y2=BOTTOM, class_="reference"))
        parts.append(element("text", "fp32", x=x, y=TOP - 3, text_anchor="middle", class_="soft"))
    zero = up.at(0.0)
    parts.append(element("line", x1=LEFT, x2=RIGHT, y1=zero, y2=zero, class_="axis"))
    return joined(parts)


def _limit(up: Axis, max_drop: float) -> Markup:
    y = up.at(max_drop)
    return joined(
        [
            element("line", x1=LEFT, x2=RIGHT, y1=y, y2=y, class_="limit"),
            element(
                "text", f"limit {max_drop:g}", x=RIGHT, y=y - 4, text_anchor="end", class_="limit"
            ),
        ]
    )


def _mark(point: _Point, across: Axis, up: Axis) -> Markup:
    """Draw the drop as a dot, and a whisker up to its bound; an arrow where it goes on."""
    trial, x = point.trial, across.at(point.cost)
    if point.kind == "unseen":
        x += 7.0  # beside its plan, which costs the same
    y, bound = up.at(trial.worst_value), up.at(trial.worst_bound)
    parts = [element("title", _said(point)), element("line", x1=x, x2=x, y1=y, y2=bound)]
    if trial.worst_bound > up.high:
        parts.append(
            element("path", d=f"M{x - 4:.1f} {TOP + 6:g}L{x:.1f} {TOP:g}l4 6", fill="none")
        )
    else:
        parts.append(element("line", x1=x - 4, x2=x + 4, y1=bound, y2=bound))
    if trial.worst_value <= up.high:
        parts.append(element("circle", cx=x, cy=y, r=3 if point.kind == "trial" else 4.5))
    return element("g", *parts, class_=f"mark {point.kind}")


def _said(point: _Point) -> str:
    trial = point.trial
    lines = [f"INT8 share {trial.share:.1%}"]
    if trial.ratio is not None:
        lines.append(f"{trial.ratio:.2f} of fp32's time")
    for task, drop in trial.drops.items():
        lines.append(
            f"{task}: {drop.metric} {drop.value:.2f} points lost, at most {drop.bound:.2f}"
        )
    return "\n".join(lines)


def _legend(outcome: Outcome) -> Markup:
    kinds = {"trial": "tried"}
    if outcome.plan is not None:
        kinds["plan"] = "the plan"
    if outcome.reported is not None:
        kinds["unseen"] = "on samples that no decision has seen"
    items = [
        element(
            "span",
            element("svg", _key(kind), viewBox="0 0 12 12", class_="key", aria_hidden="true"),
            said,
        )
        for kind, said in kinds.items()
    ]
    return element("p", *items, class_="legend")


def _key(kind: str) -> Markup:
    return element("g", element("circle", cx=6, cy=6, r=4), class_=f"mark {kind}")


def _list(outcome: Outcome) -> Markup:
    rows = [
        (
            f"{trial.share:.1%}",
            "" if trial.ratio is None else f"{trial.ratio:.2f}",
            f"{trial.worst_value:.2f}",
            f"{trial.worst_bound:.2f}",
            f"{trial.worst_subset:.2f}",
            "passed" if trial.passed else "accepted" if trial.accepted else "failed",
        )
        for trial in _trials(outcome)
        if trial.drops
    ]
    names = ("INT8 share", "fp32's time", "drop", "at most", "worst subset", "")
    return fold(f"All trials, in order: {len(rows)}", table(names, rows, numbers=range(5)))
