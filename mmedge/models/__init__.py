"""Small reference networks to train with: encoders, fusion heads, losses and front-ends.

The only part of mmedge, beside the export, that needs torch.
"""

from __future__ import annotations

from mmedge.models.fusion import AttentionFusion, ConcatenationFusion, GatedFusion
from mmedge.models.image import ImageCNN
from mmedge.models.log_mel import LogMelFrontEnd
from mmedge.models.losses import LearnedTemperature, info_nce, total_loss
from mmedge.models.modality_dropout import drop_modalities
from mmedge.models.normalise import NormaliseFrontEnd
from mmedge.models.presets import ast_log_mel, clap_log_mel, whisper_log_mel
from mmedge.models.sound import SoundCNN
from mmedge.models.spec_augment import mask_spectrogram
from mmedge.models.text import TextLSTM

__all__ = [
    "AttentionFusion",
    "ConcatenationFusion",
    "GatedFusion",
    "ImageCNN",
    "LearnedTemperature",
    "LogMelFrontEnd",
    "NormaliseFrontEnd",
    "SoundCNN",
    "TextLSTM",
    "ast_log_mel",
    "clap_log_mel",
    "drop_modalities",
    "info_nce",
    "mask_spectrogram",
    "total_loss",
    "whisper_log_mel",
]
