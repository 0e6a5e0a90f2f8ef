"""What leaves the pipeline: a prediction, what it rests on, and the events that it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

from mmedge.runtime.prediction import Prediction

__all__ = ["Basis", "Event", "Tick"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a prediction rests on, for one modality that is present.

    Attributes:
        encoding: number of the encoder's run, from 0 for each modality.
        begin_ns: capture time of the oldest sample that it saw.
        end_ns: capture time of the newest (for sound and signals the window's end).
        age_ns: from ``end_ns`` to the prediction.
        complaints: how its input was spoiled, such as ``dark``; empty if it was not.
        reset: the encoder's state began anew with this window, and why; empty if not.
    """

    encoding: int
    begin_ns: int
    end_ns: int
    age_ns: int
    complaints: tuple[str, ...] = ()
    reset: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something began or ended, after smoothing, hysteresis and debounce.

    Attributes:
        task: which task.
        label: what.
        what: ``began`` or ``ended``.
        time_ns: pipeline time at which it was decided.
        score: the smoothed score then.
    """

    task: str
    label: str
    what: Literal["began", "ended"]
    time_ns: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One live prediction.

    Attributes:
        number: counts up from 0 since the pipeline began.
        time_ns: pipeline time of the decision (``time.monotonic_ns``, or a recording's).
        utc_ns: the same moment by the wall clock, nanoseconds since 1970.
        bundle: the bundle's digest.
        prediction: what the model says.
        basis: present modality -> what it contributed with.
        absent: absent modality -> why.
        spread_ns: between the oldest and the newest ``end_ns`` of what moves.
        aligned: the spread lies within the declared tolerance.
        fresh: something that it rests on is new since the prediction before.
        smoothed: task -> label -> score after smoothing.
        labels: task -> the best label after smoothing, ``None`` where the model abstains.
        active: task -> labels that have begun and not ended.
        events: what began or ended with this prediction.
        latency_ns: stage -> measured time, such as ``mic/encode`` and ``fuse``. All else
            is the decision, which a replay repeats.
    """

    number: int
    time_ns: int
    utc_ns: int
    bundle: str
    prediction: Prediction
    basis: Mapping[str, Basis]
    absent: Mapping[str, str]
    spread_ns: int
    aligned: bool
    fresh: bool
    smoothed: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    labels: Mapping[str, str | None] = field(default_factory=dict)
    active: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    latency_ns: Mapping[str, int] = field(default_factory=dict)

    def decision(self) -> dict[str, Any]:
        """Give what a replay has to repeat, in plain types: all but measured times."""
        return {
            "number": self.number,
            "time_ns": self.time_ns,
            "bundle": self.bundle,
            **self.prediction.to_json(),
            "basis": {name: asdict(each) for name, each in self.basis.items()},
            "absent": dict(self.absent),
            "spread_ms": self.spread_ns / 1e6,
            "aligned": self.aligned,
            "fresh": self.fresh,
            "smoothed": {
                task: {label: round(score, 6) for label, score in scores.items()}
                for task, scores in self.smoothed.items()
            },
            "labels": dict(self.labels),
            "active": {task: list(labels) for task, labels in self.active.items()},
            "events": [asdict(event) for event in self.events],
        }

    def to_json(self) -> dict[str, Any]:
        """Give plain types, for a line of JSON."""
        moment = datetime.fromtimestamp(self.utc_ns / 1e9, timezone.utc)
        return {
            "utc": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            **self.decision(),
            "latency_ms": {stage: each / 1e6 for stage, each in self.latency_ns.items()},
        }
