"""mmedge: trained multimodal models, proven equal on the edge."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmedge.bundle import Bundle, open_bundle
    from mmedge.runtime.prediction import Prediction
    from mmedge.runtime.predictor import Predictor
    from mmedge.runtime.preprocess import Pcm
    from mmedge.specs import (
        Classification,
        Image,
        ImageQuality,
        LogMel,
        Matching,
        MultiLabel,
        Raw,
        Regression,
        Signal,
        Sound,
        SoundQuality,
        Text,
        image_from_hugging_face,
        sound_from_hugging_face,
    )

__all__ = [
    "Bundle",
    "Classification",
    "Image",
    "ImageQuality",
    "LogMel",
    "Matching",
    "MultiLabel",
    "Pcm",
    "Prediction",
    "Predictor",
    "Raw",
    "Regression",
    "Signal",
    "Sound",
    "SoundQuality",
    "Text",
    "image_from_hugging_face",
    "open_bundle",
    "sound_from_hugging_face",
]
__version__ = "0.1.0"

_HOME = {
    "Bundle": "mmedge.bundle",
    "open_bundle": "mmedge.bundle",
    "Pcm": "mmedge.runtime.preprocess",
    "Prediction": "mmedge.runtime.prediction",
    "Predictor": "mmedge.runtime.predictor",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: ``import mmedge`` itself loads nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'mmedge' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME.get(name, "mmedge.specs")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
