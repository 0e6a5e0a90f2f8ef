"""What the terminal shows: the newest prediction and the state, as lines of a given size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from mmedge.runtime.pipeline.status import ModalityStatus, SourceStatus, Status
from mmedge.runtime.pipeline.tick import Event, Tick
from mmedge.runtime.sinks.text import clean

__all__ = ["View", "draw", "event_line", "summary_line"]

BLOCKS = " ▏▎▍▌▋▊▉█"
NAME_CELLS = 14
MIN_EVENTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is drawn: the newest of each, and events with their time by the wall clock."""

    tick: Tick | None
    status: Status | None
    events: Sequence[tuple[int, Event]]
    message: str = ""


def draw(view: View, width: int, height: int) -> list[Text]:
    """Lay it out: at most ``height`` lines of at most ``width`` cells.

    What is wrong comes first where there is not room for all; the bars get what is left.
    """
    state = [] if view.status is None else _state(view.status, view.tick)
    if view.message:
        state.append(Text(f"log  {clean(view.message)}", "yellow", no_wrap=True))
    head = [_head(view)]
    fixed = len(head) + len(state) + 1 + MIN_EVENTS
    bars = [] if view.tick is None else _bars(view.tick, width, max(2, height - fixed))
    room = height - len(head) - len(bars) - len(state) - 1
    events = [Text("events", "bold"), *_events(view.events, max(1, room))]
    lines = [*head, *bars, *state, *events][:height]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def event_line(utc_ns: int, event: Event) -> str:
    """One event in one line: ``12:03:22 digit: seven began 0.83``."""
    task, label = clean(event.task), clean(event.label)
    return f"{_clock(utc_ns)} {task}: {label} {event.what} {event.score:.2f}"


def summary_line(tick: Tick, status: Status) -> str:
    """The state in one line, for where there is no screen."""
    best = []
    for task, scores in _shown(tick):
        label = max(scores, key=scores.__getitem__)
        best.append(f"{clean(task)}={clean(label)} {scores[label]:.2f}")
    ages = [f"{clean(name)} {each.age_ns / 1e6:.0f} ms" for name, each in tick.basis.items()]
    absent = [f"{clean(name)} absent: {clean(why)}" for name, why in tick.absent.items()]
    wrong = [f"degraded: {clean(status.degraded)}"] if status.degraded else []
    parts = ", ".join([*ages, *absent, *wrong])
    return f"{_clock(tick.utc_ns)} {', '.join(best)} ({parts}) {status.rate_hz:.1f}/s"


def _head(view: View) -> Text:
    line = Text(no_wrap=True)
    status, tick = view.status, view.tick
    if status is None:
        return line.append("starting", "yellow")
    line.append(clean(status.model), "bold")
    line.append("" if status.plan == "fp32" else f"  {clean(status.plan)}")
    up_s = int(status.uptime_s)
    line.append(f"  up {up_s // 3600}:{up_s // 60 % 60:02}:{up_s % 60:02}")
    line.append(f"  {status.rate_hz:.1f}/s  ")
    line.append(*(("ready", "green") if status.ready else ("warming up", "yellow")))
    if tick is not None:
        line.append(f"  #{tick.number}  spread {tick.spread_ns / 1e6:.0f} ms  ")
        line.append("" if tick.aligned else "not aligned  ", "red")
        line.append("" if tick.fresh else "not fresh", "yellow")
    if status.degraded:
        line.append(f"  {clean(status.degraded)}", "bold red")
    return line


def _shown(tick: Tick) -> Iterable[tuple[str, dict[str, float]]]:
    """Scores of every task that has some, smoothed where it smooths."""
    for task, answer in tick.prediction.tasks.items():
        scores = dict(tick.smoothed.get(task) or answer.scores)
        if scores:
            yield task, scores


def _bars(tick: Tick, width: int, room: int) -> list[Text]:
    tasks = list(_shown(tick))
    lines: list[Text] = []
    for count, (task, scores) in enumerate(tasks):
        share = max(1, (room - len(lines)) // (len(tasks) - count) - 1)
        answer = tick.prediction.tasks[task]
        lines.append(_task_head(task, answer.conflict, len(scores) - share))
        active = tick.active.get(task, ())
        best = sorted(scores, key=scores.__getitem__, reverse=True)[:share]
        lines += [_bar(each, scores[each], answer.units, each in active, width) for each in best]
    if not tasks:
        lines.append(Text("nothing present, nothing to predict", "yellow"))
    return lines[: max(room, 1)]


def _task_head(task: str, conflict: float, hidden: int) -> Text:
    line = Text(clean(task), "bold", no_wrap=True)
    if hidden > 0:
        line.append(f"  ({hidden} more)", "dim not bold")
    if conflict >= 0.01:
        line.append(f"  conflict {conflict:.2f}", "yellow")
    return line


def _bar(label: str, score: float, units: dict[str, str], active: bool, width: int) -> Text:
    style = "bold green" if active else ""
    line = Text(f"  {_cells(label, NAME_CELLS)} ", style, no_wrap=True)
    if label in units:  # a quantity has no natural full length
        return line.append(f"{score:.4g} {clean(units[label])}")
    cells = max(4, width - NAME_CELLS - 12)
    eighths = round(min(max(score, 0.0), 1.0) * cells * 8)
    bar = BLOCKS[8] * (eighths // 8) + (BLOCKS[eighths % 8] if eighths % 8 else "")
    line.append(bar.ljust(cells), "green" if active else "cyan")
    return line.append(f" {score:5.2f}{' *' if active else ''}")


def _state(status: Status, tick: Tick | None) -> list[Text]:
    shares = [] if tick is None else list(tick.prediction.tasks.values())[:1]
    contributions = shares[0].contributions if shares else {}
    head = f"{'modality':<{NAME_CELLS}} {'age':>7} {'rate':>7} {'encode':>8} {'share':>6}  notes"
    lines = [Text(head, "bold", no_wrap=True)]
    lines += [_modality(each, contributions) for each in status.modalities.values()]
    lines.append(Text(f"{'source':<{NAME_CELLS}} {'state':<8} {'rate':>10}  notes", "bold"))
    lines += [_source(each) for each in status.sources]
    for sink in status.sinks:
        if sink.dropped or sink.degraded:
            told = f"sink {clean(sink.name)}: lost {sink.dropped}  {clean(sink.degraded)}"
            lines.append(Text(told, "red" if sink.degraded else "yellow", no_wrap=True))
    if status.board:
        told = "  ".join(f"{clean(key)} {clean(each)}" for key, each in status.board.items())
        lines.append(Text(f"board  {told}", no_wrap=True))
    return lines


def _modality(each: ModalityStatus, contributions: dict[str, float]) -> Text:
    share = contributions.get(each.name)
    line = Text(_cells(each.name, NAME_CELLS), "" if each.present else "dim", no_wrap=True)
    line.append(f" {_number(each.age_ms, 'ms'):>7} {each.rate_hz:>5.1f}/s")
    line.append(
        f" {_number(each.encode_ms, 'ms', 1):>8} {'' if share is None else f'{share:+.2f}':>6}  "
    )
    if not each.present:
        line.append(f"absent: {clean(each.reason)}  ", "yellow")
    if each.degraded:
        line.append(f"{clean(each.degraded)}  ", "bold red")
    if each.complaints:
        line.append(f"{clean(', '.join(each.complaints))}  ", "magenta")
    if each.skipped:
        line.append(f"skipped {each.skipped}", "dim")
    return line


def _source(each: SourceStatus) -> Text:
    style = {"live": "green", "ended": "dim"}.get(each.state, "yellow")
    line = Text(_cells(each.name, NAME_CELLS) + " ", no_wrap=True)
    line.append(f"{each.state:<8}", style)
    line.append(f" {each.rate_hz:>7.0f} Hz  ")
    if each.reason:
        line.append(f"{clean(each.reason)}  ", "yellow")
    if each.opened > 1:
        line.append(f"opened {each.opened}x  ", "yellow")
    if not math.isnan(each.drift_ppm):
        line.append(f"{each.drift_ppm:+.0f} ppm  ", "dim")
    return line.append(clean(each.granted), "dim")


def _events(events: Sequence[tuple[int, Event]], room: int) -> list[Text]:
    newest = list(events)[-room:]
    style = {"began": "green", "ended": "dim"}
    return [
        Text(event_line(utc_ns, event), style[event.what], no_wrap=True)
        for utc_ns, event in reversed(newest)
    ]


def _cells(text: str, cells: int) -> str:
    """Bring a text to exactly so many cells; some characters take two."""
    text = clean(text)
    return set_cell_size(text if cell_len(text) <= cells else text[: cells - 1] + "…", cells)


def _number(value: float, unit: str, digits: int = 0) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f} {unit}"


def _clock(utc_ns: int) -> str:
    return datetime.fromtimestamp(utc_ns // 1_000_000_000, timezone.utc).strftime("%H:%M:%S")
