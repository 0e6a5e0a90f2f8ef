"""Small reference networks to train with: encoders, fusion heads, losses and front-ends.

The only part of mmedge, beside the export, that needs torch.
"""

from __future__ import annotations

from mmedge.models.clip_of_frames import ClipOfFrames
from mmedge.models.fusion import (
    AttentionFusion,
    ConcatenationFusion,
    DualEncoder,
    ElementwiseFusion,
    GatedFusion,
    HybridFusion,
    JointTransformerFusion,
    LateFusion,
    MatchingHead,
    WeightedFusion,
)
from mmedge.models.image import ImageCNN
from mmedge.models.log_mel import LogMelFrontEnd
from mmedge.models.losses import (
    LearnedTemperature,
    blank_patches,
    draw_negatives,
    draw_patches,
    info_nce,
    info_nce_of_all_pairs,
    mask_tokens,
    masked_image_loss,
    masked_language_loss,
    matching_loss,
    total_loss,
)
from mmedge.models.modality_dropout import drop_modalities
from mmedge.models.normalise import NormaliseFrontEnd, StandardiseFrontEnd, StandardiseWindow
from mmedge.models.signal import SignalCNN
from mmedge.models.sound import SoundCNN
from mmedge.models.spec_augment import mask_spectrogram
from mmedge.models.spectrogram_transformer import SpectrogramTransformer
from mmedge.models.text import TextLSTM
from mmedge.models.text_transformer import TextTransformer
from mmedge.models.vit import ImageViT
from mmedge.specs.presets import ast_log_mel, clap_log_mel, whisper_log_mel

__all__ = [
    "AttentionFusion",
    "ClipOfFrames",
    "ConcatenationFusion",
    "DualEncoder",
    "ElementwiseFusion",
    "GatedFusion",
    "HybridFusion",
    "ImageCNN",
    "ImageViT",
    "JointTransformerFusion",
    "LateFusion",
    "LearnedTemperature",
    "LogMelFrontEnd",
    "MatchingHead",
    "NormaliseFrontEnd",
    "SignalCNN",
    "SoundCNN",
    "SpectrogramTransformer",
    "StandardiseFrontEnd",
    "StandardiseWindow",
    "TextLSTM",
    "TextTransformer",
    "WeightedFusion",
    "ast_log_mel",
    "blank_patches",
    "clap_log_mel",
    "draw_negatives",
    "draw_patches",
    "drop_modalities",
    "info_nce",
    "info_nce_of_all_pairs",
    "mask_spectrogram",
    "mask_tokens",
    "masked_image_loss",
    "masked_language_loss",
    "matching_loss",
    "total_loss",
    "whisper_log_mel",
]
