"""Calibration: a bundle and labelled samples in, plans of lower precision out, or a refusal.

The way of the data: samples (`mmedge.proof.data`) -> `material` (made easier to round, values
watched) -> `ranges` (thresholds) -> `rewrite` (Q/DQ nodes and FP16 types, by target) ->
`targeting` and `search` (which layers, on accuracy through the fused model) -> `finishing`
(a plan) -> `calibrator` (the bundle).
"""

from __future__ import annotations

from mmedge.calibration.calibrator import calibrate
from mmedge.calibration.config import CalibrateConfig
from mmedge.calibration.outcome import Calibration, Outcome
from mmedge.calibration.reporting import note_engines

__all__ = ["CalibrateConfig", "Calibration", "Outcome", "calibrate", "note_engines"]
