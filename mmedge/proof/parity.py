"""How far two sets of numbers are apart, against what is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge.manifest import Tolerance

__all__ = ["FP32", "Finding", "Parity", "compare"]

FP32: dict[Any, Tolerance] = {
    "cpu": Tolerance(absolute=1e-4, relative=1e-4),
    # TF32 off: other kernels, another order of summation.
    "gpu": Tolerance(absolute=1e-3, relative=1e-3),
}
"""What a float32 graph may differ from torch in float32, by class of backend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One comparison.

    Attributes:
        point: where, such as ``camera/embedding`` or ``end to end/digit``.
        subset: which modalities were present, such as ``camera+mic``; empty for encoders.
        batch: rows per call.
        error: largest absolute difference.
        ratio: largest difference in units of what is allowed there; at most 1 passes.
        sample: the sample with the largest ratio.
    """

    point: str
    subset: str = ""
    batch: int
    error: float
    ratio: float
    sample: int

    @property
    def passed(self) -> bool:
        """Whether every number is within tolerance."""
        return self.ratio <= 1


@dataclass(frozen=True, slots=True)
class Parity:
    """All comparisons of a proof.

    Attributes:
        findings: every comparison that was made.
        backend: what ran the graphs.
        plan: which files were run.
        tolerance: what was allowed.
        inputs: ``seeded`` or ``clips``: what was compared on.
        samples: how many.
    """

    findings: tuple[Finding, ...]
    backend: str
    plan: str
    tolerance: Tolerance
    inputs: str
    samples: int
    notes: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether all comparisons passed."""
        return all(finding.passed for finding in self.findings)

    @property
    def worst(self) -> Finding:
        """The comparison closest to, or furthest beyond, what is allowed."""
        return max(self.findings, key=lambda finding: _sortable(finding.ratio))

    @property
    def first_failure(self) -> Finding | None:
        """The first comparison, on the data's way, that failed."""
        return next((finding for finding in self.findings if not finding.passed), None)

    def by_point(self) -> dict[str, Finding]:
        """Give the worst finding of each point, in the order of the data's way."""
        worst: dict[str, Finding] = {}
        for finding in self.findings:
            known = worst.get(finding.point)
            if known is None or _sortable(finding.ratio) > _sortable(known.ratio):
                worst[finding.point] = finding
        return worst

    def to_json(self) -> dict[str, Any]:
        """Give plain types for a report; numbers that JSON lacks become strings."""
        return {
            "passed": self.passed,
            "backend": self.backend,
            "plan": self.plan,
            "tolerance": self.tolerance.model_dump(),
            "inputs": self.inputs,
            "samples": self.samples,
            "notes": list(self.notes),
            "findings": [_plain(asdict(finding)) for finding in self.findings],
        }


def compare(
    point: str,
    reference: NDArray[np.generic],
    actual: NDArray[np.generic],
    tolerance: Tolerance,
    *,
    subset: str = "",
    batch: int,
    samples: Iterable[int] | None = None,
) -> Finding:
    """Compare two arrays ``[B, ...]`` number by number.

    NaN agrees with nothing, not even NaN: a model that gives NaN is not proven. Another
    shape is an infinite difference. ``samples`` names the rows, else they are counted.
    """
    rows = list(samples) if samples is not None else list(range(len(reference)))
    if reference.shape != actual.shape:
        return Finding(
            point=point, subset=subset, batch=batch, error=np.inf, ratio=np.inf, sample=rows[0]
        )
    wanted, came = reference.astype(np.float64), actual.astype(np.float64)
    # Nothing allowed and infinities: what is not a number is told apart below.
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.abs(came - wanted)
        allowed = tolerance.absolute + tolerance.relative * np.abs(wanted)
        ratio = error / allowed
    # Equal infinities agree; anything else that is not a number is beyond every tolerance.
    ratio = np.where(came == wanted, 0.0, np.nan_to_num(ratio, nan=np.inf, posinf=np.inf))
    error = np.where(came == wanted, 0.0, np.nan_to_num(error, nan=np.inf, posinf=np.inf))
    per_row = ratio.reshape(len(ratio), -1).max(axis=1)
    worst = int(per_row.argmax())
    return Finding(
        point=point,
        subset=subset,
        batch=batch,
        error=float(error.max()),
        ratio=float(per_row[worst]),
        sample=rows[worst],
    )


def _sortable(ratio: float) -> float:
    return np.inf if np.isnan(ratio) else ratio


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    # Six digits are plenty for an error, and keep reports readable.
    return {
        key: (float(f"{value:.6g}") if np.isfinite(value) else str(value))
        if isinstance(value, float)
        else value
        for key, value in row.items()
    }
