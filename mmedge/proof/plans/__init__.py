"""Every plan of a bundle on labelled samples: how good, how sure, how fast, how large."""

from __future__ import annotations

from mmedge.proof.plans.config import EvalConfig
from mmedge.proof.plans.found import Evaluation, PlanFound, Row, Slice
from mmedge.proof.plans.running import evaluate_plans

__all__ = ["EvalConfig", "Evaluation", "PlanFound", "Row", "Slice", "evaluate_plans"]
