"""The demo's picture: one clip, what the model made of it, and the proofs beside it."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from mmedge.demo.picture.answers import Answer, Verdict, hop_of, read_answers, read_truth
from mmedge.demo.picture.canvas import BODY, MODALITIES, MUTED, TITLE, Canvas
from mmedge.demo.picture.media import header_ns
from mmedge.demo.picture.proofs import draw_accuracy, draw_parity
from mmedge.demo.picture.timeline import (
    Timeline,
    draw_media,
    draw_ribbons,
    draw_shares,
    verdict_box,
)
from mmedge.proof import Parity, SubsetMetrics
from mmedge.runtime.offline import FilePrediction

__all__ = ["HEIGHT", "WIDTH", "draw_demo"]

WIDTH, HEIGHT = 1600, 1040

_MARGIN = 48
# One frame for each scene, where that leaves frames of a usual shape.
_CELLS = range(7, 12)
_VERDICTS: dict[Verdict, str] = {
    "right": "right in",
    "wrong": "wrong in",
    "unsure": "unsure in",
    "open": "no single truth in",
}


def draw_demo(
    path: Path,
    *,
    clip: Path,
    predictions: Sequence[FilePrediction],
    truth: Sequence[Mapping[str, Any]],
    accuracy: Sequence[SubsetMetrics],
    parity: Parity,
) -> None:
    """Write the picture, a PNG of 1600 x 1040 pixels.

    Args:
        path: the file; it appears, or is replaced, once it is whole.
        clip: the video that was predicted.
        predictions: of its windows, in order, at least one.
        truth: what was so: ``begin_ms``, ``end_ms``, ``label`` (``None`` where modalities
            are told different things), and texts that say more. May be empty.
        accuracy: of subsets of the modalities.
        parity: with the trained model.

    Raises:
        ValueError: no prediction.
        SourceError: the clip cannot be read.
    """
    if not predictions:
        raise ValueError("there is no prediction to draw; give at least one window's")
    task = next((name for each in predictions for name in each.prediction.tasks), None)
    ribbons = read_truth(truth)
    answers = read_answers(predictions, ribbons, task)
    names = list(predictions[0].prediction.presence)
    colours = dict(zip(names, cycle(MODALITIES), strict=False))
    absent = [n for n in names if not any(p.prediction.presence[n] for p in predictions)]
    length_ns, sound = header_ns(clip)
    last_ns = max(each.end_ns for each in answers)
    timeline = Timeline(max(1, length_ns, last_ns, *(each.end_ns for each in ribbons)))

    canvas = Canvas(WIDTH, HEIGHT)
    _draw_title(canvas, [n for n in names if n not in absent], predictions)
    _draw_counts(canvas, answers, has_truth=bool(ribbons))
    cells = len(ribbons) if len(ribbons) in _CELLS else _CELLS[len(_CELLS) // 2]
    draw_media(canvas, timeline, clip, cells=cells, sound=sound)
    draw_ribbons(canvas, timeline, ribbons, answers)
    draw_shares(canvas, timeline, answers, colours, absent)
    draw_accuracy(canvas, [row for row in accuracy if row.task == task], colours)
    draw_parity(canvas, parity)
    _write(canvas, path)


def _draw_title(
    canvas: Canvas, present: Sequence[str], predictions: Sequence[FilePrediction]
) -> None:
    senses = " and ".join(filter(None, (", ".join(present[:-1]), *present[-1:]))) or "nothing"
    if canvas.width(senses, TITLE) > WIDTH / 2:
        senses = f"{len(present)} modalities"
    title = f"{senses[:1].upper()}{senses[1:]}: one answer"
    if len(predictions) > 1:
        title += f" every {hop_of(predictions) / 1e6:g} ms"
    canvas.text((_MARGIN, 62), title, TITLE, bold=True, width=WIDTH - 2 * _MARGIN)


def _draw_counts(canvas: Canvas, answers: Sequence[Answer], *, has_truth: bool) -> None:
    """Say how many windows were right, and so on: the ribbon's legend at the same time."""
    counts = Counter(each.verdict for each in answers)
    x, first = float(_MARGIN), True
    for verdict, text in _VERDICTS.items():
        if counts[verdict]:
            verdict_box(canvas, (x, 82, x + 26, 104), verdict)
            said = "sure in" if verdict == "open" and not has_truth else text
            unit = " window" if counts[verdict] == 1 else " windows"
            label = f"{said} {counts[verdict]}{unit if first else ''}"
            x += 36 + canvas.text((x + 36, 100), label, BODY, MUTED) + 34
            first = False


def _write(canvas: Canvas, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            canvas.finish().save(file, "PNG", optimize=True)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
