"""What a calibration found: data in, numbers out; the report draws it, the bundle keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mmedge.bundle import Bundle
from mmedge.calibration.config import Target
from mmedge.calibration.histogram import Histogram
from mmedge.calibration.latency import Ratio
from mmedge.calibration.lowering import Range
from mmedge.calibration.sensitivity import Unit
from mmedge.calibration.trial import Trial
from mmedge.manifest import Kept
from mmedge.specs import Task

__all__ = ["BARS", "Calibration", "Outcome", "Watched"]

BARS = 64
"""Of a histogram, in reports."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A value's distribution, and the range that was made of it.

    Attributes:
        value: its name in the float32 graph.
        histogram: over the range samples.
        range: what its scale is made from.
    """

    value: str
    histogram: Histogram
    range: Range

    @property
    def clipped(self) -> float:
        """Share of the numbers that lie beyond the range, 0..1."""
        return self.histogram.beyond(self.range) / max(1, self.histogram.total)

    def to_json(self) -> dict[str, Any]:
        """Give plain types; of the histogram as much as is drawn."""
        seen = self.histogram.extremes
        edges, counts = self.histogram.bars(BARS)
        return {
            "value": self.value,
            "range": [self.range.low, self.range.high],
            "seen": [seen.low, seen.high],
            "clipped": float(f"{self.clipped:.4g}"),
            "numbers": self.histogram.total,
            "left_out": self.histogram.left_out,
            "edges": [float(f"{each:.6g}") for each in edges],
            "counts": counts,
        }


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was found for one target.

    Attributes:
        target: what the plan is for.
        plan: its name in the bundle; ``None`` if there is none.
        verdict: in a sentence.
        precision: of the plan, or ``fp32``.
        searched: the trial that decided, on the search part; ``None`` if nothing was tried.
        reported: the same plan on the report part, which no decision has seen.
        trials: all that were tried.
        units: layers and their noise, in the order in which they would be restored.
        methods: modality -> how ranges were chosen.
        kept: modality -> layers above the plan's precision, and why.
        latency: modality -> encoder beside its float32 form, on this CPU; only for ``cpu``.
        ratio: all graphs of the plan together over ``fp32``; only for ``cpu``.
        watched: modality -> the values whose scales are in the plan.
        left_out: modality -> value -> numbers that no range was made from (`left_out`).
        bytes: size of the plan's graphs.
        waived: what was accepted without proof.
    """

    target: Target
    plan: str | None
    verdict: str
    precision: str
    searched: Trial | None = None
    reported: Trial | None = None
    trials: tuple[Trial, ...] = ()
    units: tuple[Unit, ...] = ()
    methods: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, tuple[Kept, ...]] = field(default_factory=dict)
    latency: Mapping[str, Ratio] = field(default_factory=dict)
    ratio: float | None = None
    watched: Mapping[str, tuple[Watched, ...]] = field(default_factory=dict)
    left_out: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    bytes: int = 0
    waived: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        return {
            "target": self.target,
            "plan": self.plan,
            "verdict": self.verdict,
            "precision": self.precision,
            "search": None if self.searched is None else self.searched.to_json(),
            "report": None if self.reported is None else self.reported.to_json(),
            "trials": [trial.to_json() for trial in self.trials],
            "units": [
                {
                    "modality": unit.modality,
                    "layers": list(unit.layers),
                    "macs": unit.macs,
                    "noise": None if unit.noise != unit.noise else float(f"{unit.noise:.4g}"),
                }
                for unit in self.units
            ],
            "confusions": {
                task: each.to_json()
                for task, each in (self.reported.confusions if self.reported else {}).items()
            },
            "methods": dict(self.methods),
            "kept": {name: [k.model_dump() for k in kept] for name, kept in self.kept.items()},
            "latency": {name: asdict(ratio) for name, ratio in self.latency.items()},
            "ratio": self.ratio,
            "watched": {name: [w.to_json() for w in each] for name, each in self.watched.items()},
            "left_out": {name: dict(each) for name, each in self.left_out.items()},
            "bytes": self.bytes,
            "waived": self.waived,
        }


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What a calibration found.

    Attributes:
        bundle: with the new plans.
        outcomes: one for each target.
        samples: part -> how many samples it has.
        groups: part -> how many groups.
        skipped: clips that could not be read.
        labelled: whether there were labels for any task.
        unlabelled: tasks without; what was judged is their agreement with float32.
        machine: where the CPU's latency was measured.
        max_drop: the limit in points.
        notes: what else is to be known of the samples.
        engines: what came of the engines of the plan for TensorRT, as plain types; ``None``
            before they are tried, or if they are not.
    """

    bundle: Bundle
    outcomes: tuple[Outcome, ...]
    samples: Mapping[str, int]
    groups: Mapping[str, int]
    skipped: tuple[str, ...]
    labelled: bool
    unlabelled: tuple[str, ...]
    machine: str
    max_drop: float
    notes: tuple[str, ...] = ()
    engines: Mapping[str, Any] | None = None

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The model's."""
        return self.bundle.manifest.tasks

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        return {
            "max_drop": self.max_drop,
            "labelled": self.labelled,
            "unlabelled": list(self.unlabelled),
            "machine": self.machine,
            "samples": dict(self.samples),
            "groups": dict(self.groups),
            "skipped": list(self.skipped),
            "notes": list(self.notes),
            "outcomes": [outcome.to_json() for outcome in self.outcomes],
            "engines": None if self.engines is None else dict(self.engines),
        }
