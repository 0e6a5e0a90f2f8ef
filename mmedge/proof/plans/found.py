"""What an evaluation found: numbers only; the command line and the report show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mmedge.proof.paired import Drop, samples_needed
from mmedge.proof.tally import ClassMetrics
from mmedge.specs import Task

__all__ = ["Evaluation", "PlanFound", "Row", "Slice"]

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One plan, one subset of modalities, one task.

    Attributes:
        plan: which.
        present: the subset; ``as given`` counts what each sample has, where some lack one.
        task: which.
        samples: that had all of the subset and a label.
        metrics: see `mmedge.proof.tally`; empty without labels.
        classes: label -> precision, recall and F1.
        drop: from ``fp32`` on the same samples; ``None`` for ``fp32`` itself, and where the
            samples cannot tell.
    """

    plan: str
    present: str
    task: str
    samples: int
    metrics: Mapping[str, float]
    classes: Mapping[str, ClassMetrics]
    drop: Drop | None

    def to_json(self) -> Fields:
        """Give plain types."""
        return {
            "plan": self.plan,
            "present": self.present,
            "task": self.task,
            "samples": self.samples,
            "metrics": {name: round(value, 6) for name, value in self.metrics.items()},
            "classes": {label: asdict(each) for label, each in self.classes.items()},
            "drop": None if self.drop is None else self.drop.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One plan and one task on the samples that have one value in a column.

    Attributes:
        plan: which.
        value: of the column; empty for samples that lack it.
        task: which.
        samples: how many have a label.
        metrics: see `mmedge.proof.tally`.
        drop: from ``fp32`` on the same samples; ``None`` where these cannot tell it.
        over: whether the drop that was seen is over the limit.
    """

    plan: str
    value: str
    task: str
    samples: int
    metrics: Mapping[str, float]
    drop: Drop | None
    over: bool

    def to_json(self) -> Fields:
        """Give plain types."""
        return {
            "plan": self.plan,
            "value": self.value,
            "task": self.task,
            "samples": self.samples,
            "metrics": {name: round(value, 6) for name, value in self.metrics.items()},
            "drop": None if self.drop is None else self.drop.to_json(),
            "over": self.over,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFound:
    """One plan, whatever it answers.

    Attributes:
        plan: its name.
        precision: of its graphs.
        target: what it was made for.
        simulated: whether this machine only imitates what it was made for.
        bytes: subset -> size of the graphs that it takes.
        latency_ms: subset -> encoders and head for one sample, median; empty if simulated.
        ratio: subset -> the same over that of ``fp32``, median of interleaved rounds.
    """

    plan: str
    precision: str
    target: str
    simulated: bool
    bytes: Mapping[str, int]
    latency_ms: Mapping[str, float]
    ratio: Mapping[str, float]

    def to_json(self) -> Fields:
        """Give plain types."""
        rounded = {name: round(each, 4) for name, each in self.latency_ms.items()}
        ratio = {name: round(each, 4) for name, each in self.ratio.items()}
        return {**asdict(self), "latency_ms": rounded, "ratio": ratio}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was found of a bundle's plans.

    Attributes:
        backend: what ran the graphs.
        machine: the processor.
        samples: how many there were.
        skipped: clips that could not be read, each with its place and why.
        labelled: whether there were labels for any task.
        tasks: the model's.
        unlabelled: tasks without; their drops are agreement with ``fp32``.
        max_drop: the limit in points.
        whole: the subset that the limit is for: all that a sample has.
        plans: ``fp32`` first.
        rows: of every plan, subset and task.
        by: the column that slices are made by.
        slices: of every plan but ``fp32``; the worst first.
        notes: what was left out, and why.
    """

    backend: str
    machine: str
    samples: int
    skipped: tuple[str, ...]
    labelled: bool
    tasks: Mapping[str, Task]
    unlabelled: tuple[str, ...]
    max_drop: float | None
    whole: str
    plans: tuple[PlanFound, ...]
    rows: tuple[Row, ...]
    by: str | None
    slices: tuple[Slice, ...]
    notes: tuple[str, ...]

    @property
    def failures(self) -> list[str]:
        """A sentence for each plan and task that is not proven to stay within the limit."""
        return [
            f"{row.plan}, {row.task}: {_beyond(row.drop, self.max_drop)}"
            for row in self.rows
            if self.max_drop is not None and row.present == self.whole
            if row.plan != self.plans[0].plan
            if row.drop is None or row.drop.bound > self.max_drop
        ]

    def to_json(self) -> Fields:
        """Give plain types."""
        return {
            "backend": self.backend,
            "machine": self.machine,
            "samples": self.samples,
            "skipped": list(self.skipped),
            "labelled": self.labelled,
            "unlabelled": list(self.unlabelled),
            "max_drop": self.max_drop,
            "whole": self.whole,
            "plans": [each.to_json() for each in self.plans],
            "rows": [each.to_json() for each in self.rows],
            "by": self.by,
            "slices": [each.to_json() for each in self.slices],
            "failures": self.failures,
            "notes": list(self.notes),
        }


def _beyond(drop: Drop | None, max_drop: float) -> str:
    if drop is None:
        return "these clips cannot tell what it loses; give some of every kind"
    seen = (
        f"{drop.metric} drops by {drop.value:.2f} points on {drop.samples} clips, with 95 % "
        f"confidence by at most {drop.bound:.2f}; {max_drop:g} are allowed"
    )
    needed = samples_needed(drop, max_drop)
    if needed is None:
        return f"{seen}."
    return f"{seen}. If it stays like this, about {needed} clips would prove it."
