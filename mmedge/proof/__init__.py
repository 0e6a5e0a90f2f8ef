"""Proof: arrays and bundles in, verdicts out."""

from __future__ import annotations

from mmedge.proof.evaluation import SubsetAccuracy, evaluate
from mmedge.proof.golden import Golden
from mmedge.proof.parity import Finding, Parity
from mmedge.proof.verify import verify

__all__ = ["Finding", "Golden", "Parity", "SubsetAccuracy", "evaluate", "verify"]
