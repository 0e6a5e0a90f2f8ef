"""mmedge: trained multimodal models, proven equal on the edge."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmedge.bundle import Bundle, open_bundle
    from mmedge.runtime.pipeline.binding import Inputs
    from mmedge.runtime.pipeline.config import EventConfig, LiveConfig
    from mmedge.runtime.pipeline.pipeline import Pipeline
    from mmedge.runtime.pipeline.tick import Event, Tick
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
    )
    from mmedge.specs.hugging_face import image_from_hugging_face, sound_from_hugging_face

__all__ = [
    "Bundle",
    "Classification",
    "Event",
    "EventConfig",
    "Image",
    "ImageQuality",
    "Inputs",
    "LiveConfig",
    "LogMel",
    "Matching",
    "MultiLabel",
    "Pcm",
    "Pipeline",
    "Prediction",
    "Predictor",
    "Raw",
    "Regression",
    "Signal",
    "Sound",
    "SoundQuality",
    "Text",
    "Tick",
    "image_from_hugging_face",
    "open_bundle",
    "sound_from_hugging_face",
]
__version__ = "0.1.0"

_HOME = {
    "Bundle": "mmedge.bundle",
    "Event": "mmedge.runtime.pipeline.tick",
    "EventConfig": "mmedge.runtime.pipeline.config",
    "Inputs": "mmedge.runtime.pipeline.binding",
    "LiveConfig": "mmedge.runtime.pipeline.config",
    "Pcm": "mmedge.runtime.preprocess",
    "Pipeline": "mmedge.runtime.pipeline.pipeline",
    "Prediction": "mmedge.runtime.prediction",
    "Predictor": "mmedge.runtime.predictor",
    "Tick": "mmedge.runtime.pipeline.tick",
    "image_from_hugging_face": "mmedge.specs.hugging_face",
    "open_bundle": "mmedge.bundle",
    "sound_from_hugging_face": "mmedge.specs.hugging_face",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: ``import mmedge`` itself loads nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'mmedge' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME.get(name, "mmedge.specs")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
