"""Proof: arrays and bundles in, verdicts out."""

from __future__ import annotations

from mmedge.proof.evaluation import SubsetMetrics, evaluate
from mmedge.proof.golden import Golden
from mmedge.proof.parity import Finding, Parity
from mmedge.proof.verify import verify

__all__ = ["Finding", "Golden", "Parity", "SubsetMetrics", "evaluate", "verify"]
