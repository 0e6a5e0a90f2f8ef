"""Fusion heads: embeddings or tokens of several modalities, and which are present -> logits.

All have one contract: ``forward(inputs, presence)`` with ``inputs[name]`` float32 ``[B, D]``
or ``[B, T, D]``, ``inputs[f"{name}_mask"]`` bool ``[B, T]`` where an encoder gives one, and
``presence`` bool ``[B, M]``; rows may differ, nothing in an absent slot changes anything, and
a row with nothing present is finite: it is the head's prior. The two that compare a pair
answer 0, undecided, unless both are present.
"""

from __future__ import annotations

from mmedge.models.fusion.attention import AttentionFusion
from mmedge.models.fusion.concatenation import ConcatenationFusion
from mmedge.models.fusion.dual import DualEncoder
from mmedge.models.fusion.elementwise import ElementwiseFusion
from mmedge.models.fusion.gated import GatedFusion
from mmedge.models.fusion.hybrid import HybridFusion
from mmedge.models.fusion.joint import JointTransformerFusion
from mmedge.models.fusion.late import LateFusion
from mmedge.models.fusion.matching import MatchingHead
from mmedge.models.fusion.weighted import WeightedFusion

__all__ = [
    "AttentionFusion",
    "ConcatenationFusion",
    "DualEncoder",
    "ElementwiseFusion",
    "GatedFusion",
    "HybridFusion",
    "JointTransformerFusion",
    "LateFusion",
    "MatchingHead",
    "WeightedFusion",
]
