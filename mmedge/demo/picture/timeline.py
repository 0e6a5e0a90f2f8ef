"""The upper half: the clip along its time, what was true, what the model said, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from mmedge.demo.picture.answers import Answer, Ribbon, Verdict, joined
from mmedge.demo.picture.canvas import (
    BODY,
    INK,
    MUTED,
    PAPER,
    RIGHT,
    RULE,
    SMALL,
    WRONG,
    Box,
    Canvas,
    Colour,
)
from mmedge.demo.picture.media import film_strip, loudness

__all__ = ["UNDECIDED", "Timeline", "draw_media", "draw_ribbons", "draw_shares", "verdict_box"]

LEFT, RIGHT_EDGE, GUTTER = 196, 1552, 48
UNDECIDED: Colour = (216, 221, 228)
OPEN: Colour = (178, 188, 203)
CONFLICT: Colour = (255, 243, 205)
STRIPES: Colour = (228, 135, 64)
FILM, SOUND = (128, 238), (246, 298)
TRUTH, ANSWER = (312, 346), (352, 392)
CONFLICT_Y, SHARES, CAPTION_Y = 411, (432, 582), 643
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Timeline:
    """Where a time lies on the sheet.

    Attributes:
        span_ns: the time that the whole width stands for.
    """

    span_ns: int

    def x(self, time_ns: float) -> float:
        """Give the column of a time, held inside the sheet."""
        share = min(1.0, max(0.0, time_ns / self.span_ns))
        return LEFT + share * (RIGHT_EDGE - LEFT)

    def ticks(self) -> Iterator[float]:
        """Give round seconds, at most 14 of them and the zero."""
        span_s = self.span_ns / _NS_PER_S
        steps = (m * 10.0**e for e in range(-9, 12) for m in (1, 2, 5))
        step_s = next(step for step in steps if span_s / step <= 14)
        count = int(span_s / step_s + 1e-9)
        yield from (round(index * step_s, 9) for index in range(count + 1))


def draw_media(canvas: Canvas, timeline: Timeline, clip: Path, *, cells: int, sound: bool) -> None:
    """Draw a film strip of ``cells`` frames, and the loudness beneath it."""
    top, bottom = FILM
    _row_name(canvas, "seen", FILM)
    pitch = (RIGHT_EDGE - LEFT) / cells
    size = (round(2 * pitch), 2 * (bottom - top))
    for index, picture in enumerate(film_strip(clip, timeline.span_ns, cells, size)):
        left = LEFT + index * pitch
        canvas.paste(picture, (left, top, left + pitch - 3, bottom))
    top, bottom = SOUND
    _row_name(canvas, "heard", SOUND)
    middle = (top + bottom) / 2
    canvas.line([(LEFT, middle), (RIGHT_EDGE, middle)], RULE)
    if not sound:
        canvas.text((LEFT, middle - 8), "no sound", SMALL, MUTED)
        return
    columns = (RIGHT_EDGE - LEFT) // 2
    for column, share in enumerate(loudness(clip, timeline.span_ns, columns)):
        half = max(0.5, float(share) * (bottom - top) / 2)
        left = LEFT + 2 * column
        canvas.box((left, middle - half, left + 1.5, middle + half), MUTED)


def draw_ribbons(
    canvas: Canvas, timeline: Timeline, truth: Sequence[Ribbon], answers: Sequence[Answer]
) -> None:
    """Draw what was true, and beneath it what the model said."""
    _draw_conflicts(canvas, timeline, answers)
    if truth:
        _row_name(canvas, "truth", TRUTH)
    for each in truth:
        box = _box(timeline, each, TRUTH)
        canvas.box(box, (236, 239, 243), 4)
        _inside(canvas, box, each.text, INK if each.verdict == "right" else MUTED)
    _row_name(canvas, "answer", ANSWER)
    for each in joined(answers):
        box = _box(timeline, each, ANSWER)
        verdict_box(canvas, box, each.verdict)
        fill = PAPER if each.verdict in ("right", "wrong") else INK
        _inside(canvas, box, each.text or "unsure", fill)


def _draw_conflicts(canvas: Canvas, timeline: Timeline, answers: Sequence[Answer]) -> None:
    """Tint the times at which modalities contradict each other."""
    stretches: list[tuple[float, float]] = []
    for conflict, run in groupby(answers, key=lambda answer: answer.conflict):
        if conflict:
            some = list(run)
            stretches.append((timeline.x(some[0].begin_ns), timeline.x(some[-1].end_ns)))
    for left, right in stretches:
        canvas.box((left, TRUTH[0] - 6, right, SHARES[1]), CONFLICT)
    word, written = "conflict", 0.0
    half = canvas.width(word, SMALL) / 2
    for left, right in stretches:
        middle = min(max((left + right) / 2, LEFT + half), RIGHT_EDGE - half)
        if middle - half > written:
            canvas.text((middle, CONFLICT_Y), word, SMALL, INK, anchor="mm")
            written = middle + half + 6


def verdict_box(canvas: Canvas, box: Box, verdict: Verdict) -> None:
    """Draw a box that says right, wrong, unsure or open by its colour and its pattern."""
    if verdict == "wrong":
        canvas.hatched(box, WRONG, STRIPES)
    else:
        fill = {"right": RIGHT, "unsure": UNDECIDED, "open": OPEN}[verdict]
        canvas.box(box, fill, 4 if box[2] - box[0] > 8 else 0)


def draw_shares(
    canvas: Canvas,
    timeline: Timeline,
    answers: Sequence[Answer],
    colours: Mapping[str, Colour],
    absent: Sequence[str],
) -> None:
    """Draw the probability of the answers, and what each modality adds to it."""
    lowest = min((_below(each) for each in answers), default=0.0)
    top, bottom = SHARES
    scale = _Scale(zero=top + (bottom - top) / (1 - lowest), one=top)
    for mark in (0.0, 0.5, 1.0):
        y = scale.y(mark)
        canvas.line([(LEFT, y), (RIGHT_EDGE, y)], RULE)
        canvas.text((LEFT - 10, y), f"{mark:g}", SMALL, MUTED, anchor="rm")
    for each in answers:
        _stack(canvas, timeline, scale, each, colours)
    _score_line(canvas, timeline, scale, answers)
    canvas.line([(LEFT, scale.zero), (RIGHT_EDGE, scale.zero)], MUTED)
    for second in timeline.ticks():
        x = timeline.x(second * _NS_PER_S)
        canvas.line([(x, bottom), (x, bottom + 6)], MUTED)
        canvas.text((x, bottom + 27), f"{second:g} s", SMALL, MUTED, anchor="ms")
    _legend(canvas, colours, absent)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """Where a probability lies on the sheet."""

    zero: float
    one: float

    def y(self, value: float) -> float:
        return self.zero + (self.one - self.zero) * value


def _stack(
    canvas: Canvas,
    timeline: Timeline,
    scale: _Scale,
    answer: Answer,
    colours: Mapping[str, Colour],
) -> None:
    left, right = timeline.x(answer.begin_ns), timeline.x(answer.end_ns)
    # What is left of the score with nothing present; beyond 4 modalities there is no such sum.
    up = min(1.0, max(0.0, answer.score - sum(answer.shares.values())))
    down = 0.0
    canvas.box((left, scale.y(up), right, scale.zero), UNDECIDED)
    for name, share in answer.shares.items():
        if share >= 0:
            top = min(1.0, up + share)
            canvas.box((left, scale.y(top), right, scale.y(up)), colours[name])
            up = top
        else:
            low = max(-1.0, down + share)
            canvas.box((left, scale.y(down), right, scale.y(low)), colours[name])
            down = low


def _score_line(
    canvas: Canvas, timeline: Timeline, scale: _Scale, answers: Sequence[Answer]
) -> None:
    points: list[tuple[float, float]] = []
    for each in answers:
        if each.score <= 0:  # nothing was present: the line has a gap
            continue
        y = scale.y(each.score)
        begin, end = timeline.x(each.begin_ns), timeline.x(each.end_ns)
        if points and begin > points[-1][0] + 1:
            canvas.line(points, INK, 2)
            points = []
        points += [(begin, y), (end, y)]
    if points:
        canvas.line(points, INK, 2)


def _legend(canvas: Canvas, colours: Mapping[str, Colour], absent: Sequence[str]) -> None:
    top, bottom = SHARES
    caption = (
        "Line: probability of the leading label. Colours: what each modality adds "
        "(below 0: takes away). Grey: with none of them."
    )
    canvas.text((LEFT, CAPTION_Y), caption, SMALL, MUTED)
    canvas.text((GUTTER, top + 2), "probability", BODY, MUTED, anchor="lm")
    pitch = min(28.0, (bottom - top - 20) / max(1, len(colours)))
    for index, (name, colour) in enumerate(colours.items()):
        y = top + 36 + index * pitch
        gone = name in absent
        if not gone:
            canvas.box((GUTTER, y - 7, GUTTER + 14, y + 7), colour, 3)
        text = f"no {name}" if gone else name
        canvas.text((GUTTER + 22, y), text, SMALL, MUTED if gone else INK, anchor="lm", width=86)


def _below(answer: Answer) -> float:
    return max(-1.0, sum(share for share in answer.shares.values() if share < 0))


def _box(timeline: Timeline, ribbon: Ribbon, row: tuple[int, int]) -> Box:
    left, right = timeline.x(ribbon.begin_ns), timeline.x(ribbon.end_ns)
    # A hair of paper between neighbours, unless that is all there would be.
    gap = 2 if right - left > 6 else 0
    return left, row[0], right - gap, row[1]


def _inside(canvas: Canvas, box: Box, text: str, fill: Colour) -> None:
    left, top, right, bottom = box
    middle, width = ((left + right) / 2, (top + bottom) / 2), right - left - 4
    # Rather smaller letters than half a word.
    fitting = (size for size in (SMALL, 18, 16) if canvas.width(text, size) <= width)
    canvas.text(middle, text, next(fitting, SMALL), fill, anchor="mm", width=width)


def _row_name(canvas: Canvas, name: str, row: tuple[int, int]) -> None:
    canvas.text((GUTTER, (row[0] + row[1]) / 2), name, BODY, MUTED, anchor="lm")
