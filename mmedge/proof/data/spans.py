"""What people say of a recording: which labels hold from when to when.

``labels.jsonl`` in the recording's folder, one object per line, in order of time:
``{"begin_ms": 1200, "end_ms": 2000, "labels": {"digit": "three"}, "speaker": "ann"}``.
Times are milliseconds since the recording began; other names are columns.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmedge.errors import ArtefactError
from mmedge.proof.data.sample import texts_of
from mmedge.runtime.clips.lines import check_labels, parse_line
from mmedge.specs import Task

__all__ = ["LABELS", "Span", "read_spans", "span_at"]

LABELS = "labels.jsonl"
_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What holds for a while.

    Attributes:
        begin_ns: since the recording began.
        end_ns: exclusive.
        labels: task -> label as written, checked.
        columns: what else is known.
    """

    begin_ns: int
    end_ns: int
    labels: Mapping[str, Any]
    columns: Mapping[str, str]


def read_spans(folder: Path, tasks: Mapping[str, Task]) -> list[Span] | None:
    """Read the labels of a recording; ``None`` if there is no such file.

    Raises:
        ArtefactError: a line is not what is said above, or overlaps the one before.
    """
    path = folder / LABELS
    if not path.is_file():
        return None
    spans: list[Span] = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                where = f"{path}, line {number}"
                span = _span(parse_line(line, where), where, folder, tasks)
                if spans and span.begin_ns < spans[-1].end_ns:
                    raise ArtefactError(f"{where}: it begins before the one before it has ended")
                spans.append(span)
    return spans


def span_at(spans: Sequence[Span], time_ns: int) -> Span | None:
    """Find what holds at a time since the recording began."""
    index = bisect_right(spans, time_ns, key=lambda span: span.begin_ns) - 1
    return spans[index] if index >= 0 and time_ns < spans[index].end_ns else None


def _span(row: dict[str, Any], where: str, folder: Path, tasks: Mapping[str, Task]) -> Span:
    begin_ms, end_ms = (row.pop(name, None) for name in ("begin_ms", "end_ms"))
    labels = row.pop("labels", {})
    numbers = all(type(each) in (int, float) for each in (begin_ms, end_ms))
    if not numbers or not 0 <= begin_ms < end_ms or not isinstance(labels, dict):
        raise ArtefactError(
            f"{where}: begin_ms={begin_ms!r}, end_ms={end_ms!r}, labels={str(labels)[:60]}; give "
            '{"begin_ms": 1200, "end_ms": 2000, "labels": {"digit": "three"}}'
        )
    return Span(
        begin_ns=round(begin_ms * _NS_PER_MS),
        end_ns=round(end_ms * _NS_PER_MS),
        labels=check_labels(labels, where, folder, tasks),
        columns=texts_of(row, where),
    )
