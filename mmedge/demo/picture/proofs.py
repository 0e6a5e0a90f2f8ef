"""The lower half: accuracy with parts of the modalities, and parity with the trained model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mmedge.demo.picture.canvas import (
    HEADING,
    INK,
    MUTED,
    RIGHT,
    RULE,
    SMALL,
    WRONG,
    Canvas,
    Colour,
)
from mmedge.proof import Finding, Parity, SubsetMetrics

__all__ = ["chosen_subsets", "draw_accuracy", "draw_parity"]

TOP, ROW, MOST_ROWS = 768, 32, 7
HEADING_Y, CAPTION_Y = 706, 738
BAR: Colour = (70, 84, 104)
BEYOND: Colour = (252, 238, 227)


def chosen_subsets(accuracy: Sequence[SubsetMetrics]) -> list[SubsetMetrics]:
    """Sort by how many modalities are present; of too many, keep single ones and all."""
    rows = sorted(accuracy, key=lambda row: row.present.count("+"))
    if len(rows) <= MOST_ROWS:
        return rows
    singles = [row for row in rows if "+" not in row.present]
    return [*singles[: MOST_ROWS - 1], rows[-1]]


def draw_accuracy(
    canvas: Canvas, accuracy: Sequence[SubsetMetrics], colours: Mapping[str, Colour]
) -> None:
    """Draw one bar per subset of modalities."""
    left, right = 48, 772
    canvas.text((left, HEADING_Y), "What each sense is worth", HEADING, bold=True)
    if not accuracy:
        canvas.text((left, CAPTION_Y), "not measured", SMALL, MUTED)
        return
    rows = chosen_subsets(accuracy)
    most = max(row.samples for row in rows)
    caption = f"Accuracy with only these present, {most} test samples"
    canvas.text((left, CAPTION_Y), caption, SMALL, MUTED)
    names = [name for name in colours if any(name in row.present.split("+") for row in rows)]
    label = min(250.0, max(canvas.width(_spaced(row.present), SMALL) for row in rows))
    dots = left + label + 22
    bar = dots + 18 * len(names) + 6
    for index, row in enumerate(rows):
        y = TOP + ROW * index + ROW / 2
        name = _spaced(row.present)
        if canvas.width(name, SMALL) > label and "+" in name:
            name = f"{name.count('+') + 1} together"
        canvas.text((left, y), name, SMALL, INK, anchor="lm", width=label + 1)
        for column, modality in enumerate(names):
            here = modality in row.present.split("+")
            fill = colours[modality] if here else RULE
            canvas.dot(dots + 18 * column, y, 6 if here else 4, fill)
        end = bar + (right - 76 - bar) * row.metrics["accuracy"]
        canvas.box((bar, y - 9, right - 76, y + 9), (243, 245, 248), 3)
        canvas.box((bar, y - 9, end, y + 9), BAR, 3)
        canvas.text((right, y), f"{row.metrics['accuracy']:.1%}", SMALL, INK, anchor="rm")


def draw_parity(canvas: Canvas, parity: Parity) -> None:
    """Draw how far each point on the data's way is from torch, as a share of what is allowed."""
    left, right = 852, 1552
    verdict = (
        "Still the trained model's numbers" if parity.passed else "Not the trained model's numbers"
    )
    canvas.text((left, HEADING_Y), verdict, HEADING, INK if parity.passed else WRONG, bold=True)
    caption = (
        f"Largest difference from torch, as a share of what is allowed; {parity.plan} on "
        f"{parity.backend}"
    )
    canvas.text((left, CAPTION_Y), caption, SMALL, MUTED, width=right - left)
    points = parity.by_point()
    shown = _worst(points)
    bottom = TOP + 22.0
    if shown:
        _draw_differences(canvas, shown, left, right)
        bottom = TOP + ROW * len(shown) + 56
    canvas.text((left, bottom), _not_shown(points, shown), SMALL, MUTED, width=right - left)


def _worst(points: Mapping[str, Finding]) -> list[Finding]:
    """Choose the largest differences; they stay in the order of the data's way."""
    apart = [name for name, finding in points.items() if finding.ratio > 0]
    worst = set(sorted(apart, key=lambda name: -points[name].ratio)[: MOST_ROWS - 1])
    return [finding for name, finding in points.items() if name in worst]


def _draw_differences(canvas: Canvas, shown: Sequence[Finding], left: float, right: float) -> None:
    axis = _Axis(shown, left + 250, right - 100)
    axis.draw(canvas, TOP, TOP + ROW * len(shown))
    for index, finding in enumerate(shown):
        y = TOP + ROW * index + ROW / 2
        canvas.text((left, y), finding.point, SMALL, INK, anchor="lm", width=230)
        x = axis.x(finding.ratio)
        colour = RIGHT if finding.passed else WRONG
        canvas.line([(axis.left, y), (x, y)], RULE, 2)
        canvas.dot(x, y, 7, colour)
        canvas.text((right, y), f"{finding.error:.1e}", SMALL, INK, anchor="rm")


class _Axis:
    """Shares of the allowed error, on a logarithmic axis."""

    def __init__(self, findings: Sequence[Finding], left: float, right: float) -> None:
        ratios = [f.ratio for f in findings if math.isfinite(f.ratio)]
        self.left, self.right = left, right
        self.low = max(-9, min(-3, math.floor(math.log10(min(ratios, default=1)))))
        self.high = min(6, max(1, math.ceil(math.log10(max(ratios, default=1)))))

    def x(self, ratio: float) -> float:
        power = self.high if ratio >= 10.0**self.high else math.log10(max(ratio, 10.0**self.low))
        return self.left + (power - self.low) / (self.high - self.low) * (self.right - self.left)

    def draw(self, canvas: Canvas, top: float, bottom: float) -> None:
        limit = self.x(1)
        canvas.box((limit, top, self.right, bottom), BEYOND)
        step = 1 + (self.high - self.low) // 6
        for power in range(0, self.low - 1, -step):
            x = self.x(10.0**power)
            canvas.line([(x, top), (x, bottom)], RULE)
            text = "allowed" if power == 0 else f"{100 * 10.0**power:g}%"
            canvas.text((x, bottom + 22), text, SMALL, INK if power == 0 else MUTED, anchor="ms")
        canvas.dashed(limit, top, bottom, WRONG, 2)


def _not_shown(points: Mapping[str, Finding], shown: Sequence[Finding]) -> str:
    exact = sum(f.ratio == 0 for f in points.values())
    if not shown:
        return f"All {exact} points are equal to the bit"
    smaller = len(points) - exact - len(shown)
    rest = [f"{exact} points that are equal to the bit"] if exact else []
    rest += [f"{smaller} with smaller differences"] if smaller else []
    return f"Not shown: {', '.join(rest)}" if rest else ""


def _spaced(present: str) -> str:
    return present.replace("+", " + ")
