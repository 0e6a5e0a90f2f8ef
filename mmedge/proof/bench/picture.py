"""The picture of a bench: where the time of each backend and plan goes, in one SVG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mmedge.manifest import FUSION
from mmedge.proof.bench.found import Bench, Row
from mmedge.proof.bench.stages import ENCODE, PREPARE, WHOLE
from mmedge.proof.drawing.axes import Axis, ticks
from mmedge.proof.drawing.markup import Markup, element, joined, shortened
from mmedge.proof.drawing.writing import check_page, write_page

__all__ = ["check_picture", "draw_bench", "write_picture"]

WIDTH, LEFT, RIGHT, TOP, ROW = 760.0, 190.0, 690.0, 84.0, 46.0
# Okabe and Ito's palette, by kind of stage; the encoders of several modalities alternate.
PREPARED, FUSED, REST = "#999999", "#d55e00", "#cccccc"
ENCODED = ("#0072b2", "#56b4e9")
STYLE = """
svg { font: 13px system-ui, "Segoe UI", Roboto, Arial, sans-serif; background: #fff; }
text { fill: #1b1f24; } .soft { fill: #5b6470; } .bold { font-weight: 600; }
.grid { stroke: #d5d9df; } .whisker { stroke: #1b1f24; stroke-width: 1.5; }
.failed { fill: #b3261e; }
"""


def check_picture(path: Path) -> None:
    """Refuse a place where the picture could not be written; raises as `check_page` does."""
    check_page(path, what="a picture", suffix=".svg")


def write_picture(path: Path, picture: str) -> None:
    """Write the picture: whole, or not at all; raises as `write_page` does."""
    write_page(path, picture)


def draw_bench(found: Bench) -> str:
    """Draw a bar for each backend and plan: its stages, and how far slow predictions reach.

    A bar is as long as the median of the whole; its stages have their shares of that, and the
    grey at its end is what lies between them: contributions and the answer itself.
    """
    high = max(row.p99_ms[WHOLE] for row in found.rows)
    across = Axis(0.0, 1.04 * high, LEFT, RIGHT)
    bottom = TOP + ROW * len(found.rows)
    picture = element(
        "svg",
        element("style", Markup(STYLE)),
        element("title", f"{found.name}: time of a whole prediction"),
        _say(16, 26, shortened(f"{found.name}: a whole prediction, ms", 90), "bold"),
        _say(16, 46, shortened(found.machine, 100), "soft"),
        _legend(found.rows[0]),
        _grid(across, bottom),
        *(_bar(found, row, across, TOP + ROW * i) for i, row in enumerate(found.rows)),
        _say(16, bottom + 44, "Bar: median. Line: 95 %, tick: 99 % of all predictions.", "soft"),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH:g} {bottom + 56:g}",
        width=WIDTH,
        role="img",
    )
    return f"{picture}\n"


def _bar(found: Bench, row: Row, across: Axis, top: float) -> Markup:
    middle, x = top + ROW / 2, across.begin
    named = shortened(f"{row.backend} {row.plan}", 26)
    parts = [_say(16, middle + 4, named, "bold" if row is found.best else "")]
    for stage, took_ms in _shares(row).items():
        end = x + across.at(took_ms) - across.begin
        told = element("title", f"{stage}: {row.p50_ms.get(stage, took_ms):.3g} ms")
        size = {"x": x, "y": top + 8, "width": end - x, "height": ROW - 20}
        parts.append(element("rect", told, fill=_colour(row, stage), **size))
        x = end
    late, last = across.at(row.p95_ms[WHOLE]), across.at(row.p99_ms[WHOLE])
    y = top + ROW - 8
    parts += [
        element("line", x1=across.begin, x2=late, y1=y, y2=y, class_="whisker"),
        element("line", x1=last, x2=last, y1=y - 4, y2=y + 4, class_="whisker"),
        _say(RIGHT + 8, middle + 4, *_verdict(found, row)),
    ]
    return element("g", *parts)


def _shares(row: Row) -> dict[str, float]:
    """Cut the median of the whole into its stages; what is left comes last."""
    whole = row.p50_ms[WHOLE]
    stages = {stage: took for stage, took in row.p50_ms.items() if stage != WHOLE}
    fits = min(1.0, whole / sum(stages.values()))
    shares = {stage: fits * took for stage, took in stages.items()}
    return {**shares, "the rest": max(0.0, whole - sum(shares.values()))}


def _colour(row: Row, stage: str) -> str:
    if stage.startswith(PREPARE):
        return PREPARED
    if stage.startswith(ENCODE):
        encoders = [each for each in row.p50_ms if each.startswith(ENCODE)]
        return ENCODED[encoders.index(stage) % 2]
    return FUSED if stage == FUSION else REST


def _legend(row: Row) -> Markup:
    kinds: Mapping[str, str] = {
        PREPARE: PREPARED,
        **{each: _colour(row, each) for each in row.p50_ms if each.startswith(ENCODE)},
        FUSION: FUSED,
        "the rest": REST,
    }
    parts, x = [], 16.0
    for said, colour in list(kinds.items())[:9]:
        parts.append(element("rect", x=x, y=58, width=11, height=11, fill=colour))
        parts.append(_say(x + 16, 68, shortened(said, 18), "soft"))
        x += 30 + 7.4 * min(len(said), 18)
    return joined(parts)


def _grid(across: Axis, bottom: float) -> Markup:
    parts = []
    for number in ticks(across.low, across.high):
        x = across.at(number)
        parts.append(element("line", x1=x, x2=x, y1=TOP, y2=bottom, class_="grid"))
        parts.append(_say(x, bottom + 18, f"{number:g}", "soft", anchor="middle"))
    return joined(parts)


def _verdict(found: Bench, row: Row) -> tuple[str, str]:
    if not row.verified:
        return "failed", "failed"
    return f"{row.ratio:.2f}", "bold" if row is found.best else "soft"


def _say(x: float, y: float, text: str, kind: str = "", *, anchor: str | None = None) -> Markup:
    return element("text", text, x=x, y=y, class_=kind or None, text_anchor=anchor)
