"""The pictures of which label is taken for which, and where a plan answers otherwise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmedge.calibration.confusion import UNKNOWN, Confusion
from mmedge.calibration.outcome import Outcome
from mmedge.proof.drawing.markup import Markup, element, fold, shortened, table

__all__ = ["draw_confusions"]

DRAWN = 24
"""Labels up to which a matrix is drawn; of more, only what is mistaken is listed."""
LISTED = 40
CELL = 26.0


def draw_confusions(outcome: Outcome) -> Markup:
    """Draw every classification, on the samples that no decision has seen."""
    found = outcome.reported.confusions if outcome.reported is not None else {}
    if not found:
        return element("p", "No classification was judged.", class_="soft")
    return element("section", *(_task(name, each) for name, each in found.items()))


def _task(name: str, confusion: Confusion) -> Markup:
    parts = [element("h4", name)]
    if len(confusion.labels) <= DRAWN:
        pictures = [_matrix(confusion, confusion.table("fp32", "plan"), "fp32", "the plan")]
        if confusion.labelled:
            truths = confusion.table("truth", "plan")
            pictures.insert(0, _matrix(confusion, truths, "truth", "the plan"))
        parts.append(element("div", *pictures, class_="pair"))
    parts.append(_changes(confusion))
    if confusion.labelled:
        parts.append(_mistakes(confusion))
    return element("div", *parts)


def _matrix(confusion: Confusion, counts: NDArray[np.int64], row: str, column: str) -> Markup:
    """Draw counts as a grid; a cell is as dark as its share of the row."""
    size = len(confusion.labels)
    names = [shortened(label, 12) for label in confusion.labels]
    margin = 24 + 6.2 * max(len(name) for name in names)
    extent = margin + size * CELL + 4
    totals = np.maximum(1, counts.sum(axis=1))
    cells = [
        _cell(confusion, (i, j), int(counts[i, j]), float(counts[i, j] / totals[i]), margin)
        for i, j in np.argwhere(counts).tolist()
    ]
    frame = element(
        "rect", x=margin, y=margin, width=size * CELL, height=size * CELL, class_="frame"
    )
    middle = margin + size * CELL / 2
    return element(
        "figure",
        element(
            "svg",
            element("title", f"{row} (rows) against {column} (columns)"),
            frame,
            *cells,
            *_names(names, margin),
            element("text", column, x=middle, y=11, text_anchor="middle", class_="soft"),
            _turned(row, 11.0, middle, anchor="middle", class_="soft"),
            viewBox=f"0 0 {extent:.1f} {extent:.1f}",
            style=f"max-width: {1.2 * extent:.0f}px",
            role="img",
        ),
        element("figcaption", f"rows: {row}; columns: {column}; {int(counts.sum()):,} samples"),
    )


def _cell(
    confusion: Confusion, at: tuple[int, int], count: int, share: float, margin: float
) -> Markup:
    i, j = at
    x, y = margin + j * CELL, margin + i * CELL
    said = f"{confusion.labels[i]} → {confusion.labels[j]}: {count}"
    return element(
        "g",
        element("title", said),
        element("rect", x=x, y=y, width=CELL, height=CELL, fill_opacity=0.12 + 0.6 * share),
        element("text", _count(count), x=x + CELL / 2, y=y + CELL / 2 + 4, text_anchor="middle"),
        class_="right" if i == j else "wrong",
    )


def _count(count: int) -> str:
    return str(count) if count < 10_000 else f"{count // 1000}k"


def _names(names: list[str], margin: float) -> list[Markup]:
    middles = [margin + (number + 0.5) * CELL + 4 for number in range(len(names))]
    rows = [
        element("text", name, x=margin - 4, y=middle, text_anchor="end")
        for name, middle in zip(names, middles, strict=True)
    ]
    columns = [
        _turned(name, middle, margin - 4) for name, middle in zip(names, middles, strict=True)
    ]
    return [*rows, *columns]


def _turned(
    text: str, x: float, y: float, *, anchor: str = "start", class_: str | None = None
) -> Markup:
    """Write upwards."""
    turn = f"rotate(-90 {x:.1f} {y:.1f})"
    return element("text", text, x=x, y=y, text_anchor=anchor, transform=turn, class_=class_)


def _changes(confusion: Confusion) -> Markup:
    """List where the plan answers otherwise than float32."""
    changed = [each for each in confusion.counts if each[1] != each[2]]
    total = sum(each[3] for each in confusion.counts)
    count = sum(each[3] for each in changed)
    said = f"The plan answers otherwise than fp32 on {count:,} of {total:,} samples."
    if not changed:
        return element("p", said)
    changed.sort(key=lambda each: -each[3])
    rows = [
        (*(_label(confusion, number) for number in each[:3]), f"{each[3]:,}")
        for each in changed[:LISTED]
    ]
    if not confusion.labelled:
        rows = [row[1:] for row in rows]
    names = ("truth", "fp32", "the plan", "samples")[0 if confusion.labelled else 1 :]
    listed = table(names, rows, numbers=[len(names) - 1])
    return fold(said, listed, _left_out(len(changed)))


def _mistakes(confusion: Confusion) -> Markup:
    """List what the plan takes for what, the most frequent first, beside float32."""
    plan, reference = confusion.table("truth", "plan"), confusion.table("truth", "fp32")
    either = [(i, j) for i, j in np.argwhere(plan + reference).tolist() if i != j]
    if not either:
        return element("p", "Neither of them is wrong on any.")
    either.sort(key=lambda at: (-int(plan[at]), -int(reference[at])))
    rows = [
        (confusion.labels[i], confusion.labels[j], f"{reference[i, j]:,}", f"{plan[i, j]:,}")
        for i, j in either[:LISTED]
    ]
    wrong = [int(counts.sum() - np.trace(counts)) for counts in (reference, plan)]
    listed = table(("truth", "taken for", "by fp32", "by the plan"), rows, numbers=(2, 3))
    said = f"fp32 is wrong on {wrong[0]:,}, the plan on {wrong[1]:,}."
    return fold(said, listed, _left_out(len(either)))


def _label(confusion: Confusion, number: int) -> str:
    return "" if number == UNKNOWN else confusion.labels[number]


def _left_out(count: int) -> str:
    if count <= LISTED:
        return ""
    return element("p", f"{count - LISTED:,} rarer pairs are in the JSON.", class_="soft")
