"""The pictures of the values whose scales are in a plan: their numbers, and where they are cut."""

from __future__ import annotations

import math

from mmedge.calibration.outcome import BARS, Outcome, Watched
from mmedge.proof.drawing.axes import Axis
from mmedge.proof.drawing.markup import Markup, element, fold

__all__ = ["draw_histograms"]

SHOWN = 12
WIDTH, HEIGHT = 240.0, 96.0
LEFT, RIGHT, TOP, BOTTOM = 4.0, 236.0, 6.0, 78.0
ROOM = 40.0
"""What a number needs."""


def draw_histograms(outcome: Outcome) -> Markup:
    """Draw what is clipped most, then what is widest; the rest is folded."""
    watched = [(name, each) for name, values in outcome.watched.items() for each in values]
    if not watched:
        return element("p", "The plan has no scales.", class_="soft")
    watched.sort(key=lambda each: (-each[1].clipped, -each[1].histogram.extremes.largest))
    drawn = [_figure(name, outcome.methods.get(name, ""), each) for name, each in watched]
    caption = (
        "Counts are logarithmic. Dashed: the range that the scale is made from; what lies beyond "
        "is clipped. What is clipped most comes first, then what reaches furthest."
    )
    parts = [element("div", *drawn[:SHOWN], class_="many")]
    if rest := drawn[SHOWN:]:
        parts.append(fold(f"{len(rest)} more", element("div", *rest, class_="many")))
    return element("section", element("p", caption, class_="soft"), *parts)


def _figure(modality: str, method: str, watched: Watched) -> Markup:
    seen, histogram = watched.histogram.extremes, watched.histogram
    facts = [
        ", ".join([modality, *([method] if method else [])]),
        f"{seen.low:.3g} to {seen.high:.3g}",
        f"clips {_share(watched.clipped)}",
    ]
    if histogram.left_out:
        facts.append(f"{histogram.left_out:,} left out (masks, NaN)")
    return element(
        "figure",
        _picture(watched),
        element(
            "figcaption",
            element("span", watched.value, class_="name"),
            element("span", "; ".join(facts), class_="soft"),
        ),
        class_="small",
    )


def _picture(watched: Watched) -> Markup:
    edges, counts = watched.histogram.bars(BARS)
    limits = (watched.range.low, watched.range.high)
    low, high = min([*edges, *limits]), max([*edges, *limits])
    across = Axis(low, high, LEFT, RIGHT)
    up = Axis(0.0, math.log1p(max(counts, default=1)), BOTTOM, TOP)
    parts = [
        element("title", f"{watched.value}: {watched.histogram.total:,} numbers"),
        element("path", d=_outline(edges, counts, across, up), class_="area"),
        element("line", x1=LEFT, x2=RIGHT, y1=BOTTOM, y2=BOTTOM, class_="axis"),
    ]
    lines = [across.at(limit) for limit in limits]
    for limit, x, (at, anchor) in zip(limits, lines, _beside(*lines), strict=True):
        parts += [
            element("line", x1=x, x2=x, y1=TOP - 4, y2=BOTTOM, class_="threshold"),
            element("text", f"{limit:.3g}", x=at, y=HEIGHT - 4, text_anchor=anchor),
        ]
    return element("svg", *parts, viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}", role="img")


def _beside(low: float, high: float) -> tuple[tuple[float, str], tuple[float, str]]:
    """Put two numbers outside of their lines, or inside where the picture ends."""
    left, right = low < LEFT + ROOM, high > RIGHT - ROOM
    if left and not right:
        return (low, "start"), (max(high, low + ROOM), "start")
    if right and not left:
        return (min(low, high - ROOM), "end"), (high, "end")
    return (low, "start" if left else "end"), (high, "end" if right else "start")


def _outline(edges: list[float], counts: list[int], across: Axis, up: Axis) -> str:
    """One path around all bars."""
    if not counts:
        return ""
    steps = [f"M{across.at(edges[0]):.1f} {BOTTOM:g}"]
    for count, end in zip(counts, edges[1:], strict=True):
        steps.append(f"V{up.at(math.log1p(count)):.1f}H{across.at(end):.1f}")
    return "".join([*steps, f"V{BOTTOM:g}Z"])


def _share(share: float) -> str:
    return "nothing" if share == 0 else f"{100 * share:.2g} %"
