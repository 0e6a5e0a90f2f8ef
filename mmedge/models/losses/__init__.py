"""Losses: inside a modality, between modalities, and the sum of everything."""

from __future__ import annotations

from mmedge.models.losses.contrastive import (
    LearnedTemperature,
    info_nce,
    info_nce_of_all_pairs,
)
from mmedge.models.losses.masked_image import blank_patches, draw_patches, masked_image_loss
from mmedge.models.losses.masked_language import mask_tokens, masked_language_loss
from mmedge.models.losses.matching import draw_negatives, matching_loss
from mmedge.models.losses.total import total_loss

__all__ = [
    "LearnedTemperature",
    "blank_patches",
    "draw_negatives",
    "draw_patches",
    "info_nce",
    "info_nce_of_all_pairs",
    "mask_tokens",
    "masked_image_loss",
    "masked_language_loss",
    "matching_loss",
    "total_loss",
]
