"""What the picture says of each window: whether it was right, how sure, and thanks to whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median_low
from typing import Any, Literal

from mmedge.runtime.offline import FilePrediction

__all__ = ["Answer", "Ribbon", "Verdict", "hop_of", "joined", "read_answers", "read_truth"]

Verdict = Literal["right", "wrong", "unsure", "open"]
"""``open``: there is no truth, or no single one, to hold an answer against."""

_NS_PER_MS = 1_000_000
_CONFLICT = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ribbon:
    """A stretch of time with one text."""

    begin_ns: int
    end_ns: int
    text: str
    verdict: Verdict = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One window's answer.

    Attributes:
        begin_ns: the answer stands from here, one hop before the window's end.
        end_ns: end of the window.
        text: the label; empty where the model is not sure, or nothing was present.
        verdict: against the truth.
        score: 0..1, of the winning label.
        shares: modality -> what it added to the score, or took from it.
        conflict: whether modalities contradict each other.
    """

    begin_ns: int
    end_ns: int
    text: str
    verdict: Verdict
    score: float = 0.0
    shares: Mapping[str, float] = field(default_factory=dict)
    conflict: bool = False


def hop_of(predictions: Sequence[FilePrediction]) -> int:
    """Give the usual time from one window to the next, in nanoseconds.

    A single window stands for all that came before it.
    """
    ends = sorted({each.end_ns for each in predictions})
    steps = [after - before for before, after in pairwise(ends)]
    return median_low(steps) if steps else max(ends[0], _NS_PER_MS)


def read_truth(truth: Iterable[Mapping[str, Any]]) -> list[Ribbon]:
    """Give the truth's stretches; one without a label says what else is known of it."""
    return [
        Ribbon(
            begin_ns=int(row["begin_ms"] * _NS_PER_MS),
            end_ns=int(row["end_ms"] * _NS_PER_MS),
            text=_said(row),
            verdict="open" if row.get("label") is None else "right",
        )
        for row in truth
    ]


def read_answers(
    predictions: Sequence[FilePrediction], truth: Sequence[Ribbon], task: str | None
) -> list[Answer]:
    """Hold each window's answer to ``task`` against the truth in the middle of its hop."""
    hop_ns = hop_of(predictions)
    return [_answer(each, hop_ns, truth, task) for each in predictions]


def joined(answers: Iterable[Answer]) -> list[Ribbon]:
    """Join neighbours that say the same with the same verdict, so that it is written once."""
    runs: list[Ribbon] = []
    for each in answers:
        last = runs[-1] if runs else None
        said = (each.text, each.verdict)
        if last and (last.text, last.verdict) == said and each.begin_ns <= last.end_ns:
            runs[-1] = replace(last, end_ns=each.end_ns)
        else:
            runs.append(
                Ribbon(
                    begin_ns=each.begin_ns,
                    end_ns=each.end_ns,
                    text=each.text,
                    verdict=each.verdict,
                )
            )
    return runs


def _answer(
    given: FilePrediction, hop_ns: int, truth: Sequence[Ribbon], task: str | None
) -> Answer:
    begin_ns, middle_ns = given.end_ns - hop_ns, given.end_ns - hop_ns // 2
    answer = given.prediction.tasks.get(task or "")
    if answer is None:
        return Answer(begin_ns=begin_ns, end_ns=given.end_ns, text="", verdict="unsure")
    text = answer.label or ", ".join(answer.labels)
    wanted = next((t for t in truth if t.begin_ns <= middle_ns < t.end_ns), None)
    return Answer(
        begin_ns=begin_ns,
        end_ns=given.end_ns,
        text=text,
        verdict=_verdict(text, wanted),
        score=min(1.0, max(0.0, max(answer.scores.values(), default=0.0))),
        shares=answer.contributions,
        conflict=answer.conflict > _CONFLICT,
    )


def _verdict(text: str, wanted: Ribbon | None) -> Verdict:
    # Where there is no single truth, not to be sure is no fault.
    if wanted is not None and wanted.verdict == "open":
        return "open"
    if not text:
        return "unsure"
    if wanted is None:
        return "open"
    return "right" if text == wanted.text else "wrong"


def _said(row: Mapping[str, Any]) -> str:
    if row.get("label") is not None:
        return str(row["label"])
    return " / ".join(value for value in row.values() if isinstance(value, str))
