"""Calibration: a bundle and labelled samples in, plans of lower precision out, or a refusal.

The way of the data: samples (`mmedge.proof.data`) -> `observing` (histograms of activations)
-> `ranges` (thresholds) -> `rewrite` (Q/DQ nodes and FP16 types, by target) -> `search` (which
layers, on accuracy through the fused model) -> `report`.
"""

from __future__ import annotations

__all__: list[str] = []
