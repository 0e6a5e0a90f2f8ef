"""What a bench finds: times of every stage, put together from turns that were interleaved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge.proof.bench.stages import WHOLE
from mmedge.runtime.measured import Record, Timing

__all__ = ["STEADY", "Bench", "Row", "Turn", "make_row"]

STEADY = 0.05
"""So much the median may move from one half of the rounds to the other on a quiet machine."""

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn of one backend and plan.

    Attributes:
        stages: stage -> milliseconds, prediction by prediction.
        watts: mean meanwhile; ``None`` where nothing measures it.
    """

    stages: Mapping[str, Times]
    watts: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One backend and one plan.

    Attributes:
        backend: its name.
        plan: one of the bundle's.
        threads: graph -> CPU threads inside one operator; ``None`` as the backend likes.
        runs: predictions that were timed.
        p50_ms, p95_ms, p99_ms: of every stage; ``whole`` is from raw inputs to the prediction.
        ratio: of the whole, over the reference's in the same round: the median.
        moved: how far the whole's median moved from one half of the rounds to the other, as a
            share of it.
        per_s: whole predictions back to back, in one second.
        peak_bytes: memory of its process; ``None`` where the system does not tell.
        watts: of the machine meanwhile; ``None`` where nothing measures it.
        verified: whether the bundle's proof holds with it here...
        problem: ...and if not, where it fails first.
    """

    backend: str
    plan: str
    threads: Mapping[str, int | None]
    runs: int
    p50_ms: Mapping[str, float]
    p95_ms: Mapping[str, float]
    p99_ms: Mapping[str, float]
    ratio: float
    moved: float
    per_s: float
    peak_bytes: int | None = None
    watts: float | None = None
    verified: bool = True
    problem: str = ""

    @property
    def timing(self) -> Timing:
        """What is kept of it."""
        p50_ms = self.p50_ms[WHOLE]
        return Timing(backend=self.backend, plan=self.plan, p50_ms=p50_ms, ratio=self.ratio)

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        return {
            "backend": self.backend,
            "plan": self.plan,
            "threads": dict(self.threads),
            "runs": self.runs,
            "stages": {
                stage: {
                    "p50_ms": _short(self.p50_ms[stage]),
                    "p95_ms": _short(self.p95_ms[stage]),
                    "p99_ms": _short(self.p99_ms[stage]),
                }
                for stage in self.p50_ms
            },
            "ratio": _short(self.ratio),
            "moved": _short(self.moved),
            "per_s": _short(self.per_s),
            "peak_bytes": self.peak_bytes,
            "watts": None if self.watts is None else _short(self.watts),
            "verified": self.verified,
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Everything that was measured of a bundle on a machine.

    Attributes:
        name: of the model.
        digest: of the bundle.
        machine: in words.
        versions: what it was measured with.
        power: what measured it, or why nothing did.
        rounds: that count.
        rows: first the reference.
        best: the row to take; ``None`` if none was verified.
        record: what there is to keep of it; ``None`` if none was verified.
        kept: the file in which it was kept for ``--backend auto``, or why it was not.
        left_out: backends and plans that could not run here, and why.
        unfit: plan -> backends that it was not made for, and why they do not run it.
        notes: what else there is to say.
    """

    name: str
    digest: str
    machine: str
    versions: Mapping[str, str]
    power: str
    rounds: int
    rows: tuple[Row, ...]
    best: Row | None
    record: Record | None
    kept: str
    left_out: tuple[str, ...] = ()
    unfit: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        best = self.best
        return {
            "name": self.name,
            "digest": self.digest,
            "machine": self.machine,
            "versions": dict(self.versions),
            "power": self.power,
            "rounds": self.rounds,
            "rows": [row.to_json() for row in self.rows],
            "best": None if best is None else {"backend": best.backend, "plan": best.plan},
            "kept": self.kept,
            "left_out": list(self.left_out),
            "unfit": {plan: dict(backends) for plan, backends in self.unfit.items()},
            "notes": list(self.notes),
        }


def make_row(turns: Sequence[Turn], reference: Sequence[Turn], **fields: Any) -> Row:
    """Put the turns of one backend and plan together.

    Neighbours on the machine slow all turns of a round alike, so the median of the rounds'
    ratios says more than the ratio of two medians.

    Args:
        turns: of every round, two at least.
        reference: of the same rounds.
        fields: the rest of the row.
    """
    stages = {
        stage: np.concatenate([turn.stages[stage] for turn in turns]) for stage in turns[0].stages
    }
    whole = stages[WHOLE]
    medians = [np.median(turn.stages[WHOLE]) for turn in turns]
    beside = [np.median(turn.stages[WHOLE]) for turn in reference]
    half = len(turns) // 2
    first, then = (_middle(turns[:half]), _middle(turns[half:]))
    watts = [turn.watts for turn in turns if turn.watts is not None]
    return Row(
        runs=len(whole),
        p50_ms=_percentiles(stages, 50),
        p95_ms=_percentiles(stages, 95),
        p99_ms=_percentiles(stages, 99),
        ratio=float(np.median(np.divide(medians, beside))),
        moved=abs(then - first) / float(np.median(whole)),
        per_s=1000.0 / float(whole.mean()),
        watts=fmean(watts) if watts else None,
        **fields,
    )


def _percentiles(stages: Mapping[str, Times], share: float) -> dict[str, float]:
    return {stage: float(np.percentile(times, share)) for stage, times in stages.items()}


def _middle(turns: Sequence[Turn]) -> float:
    return float(np.median(np.concatenate([turn.stages[WHOLE] for turn in turns])))


def _short(number: float) -> float:
    return float(f"{number:.4g}")
