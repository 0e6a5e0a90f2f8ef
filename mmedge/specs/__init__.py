"""What a model sees and answers, declared once.

The same frozen objects stand in the user's recipe, in the bundle's manifest and
in the running predictor, so that no stage can disagree with another about a size,
a filter or a sample rate.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mmedge.specs.base import NAME_PATTERN, Name, Note, Printable, Spec
from mmedge.specs.image import Image, ResizeFilter
from mmedge.specs.log_mel import LogMel
from mmedge.specs.quality import ImageQuality, SoundQuality
from mmedge.specs.signal import Signal
from mmedge.specs.sound import Sound
from mmedge.specs.state import MAX_INIT, StateSpec, check_consecutive, check_states
from mmedge.specs.tasks import Classification, Matching, MultiLabel, Raw, Regression
from mmedge.specs.tensors import DType, GraphSpec, TensorSpec
from mmedge.specs.text import Text

__all__ = [
    "MAX_INIT",
    "NAME_PATTERN",
    "Classification",
    "DType",
    "GraphSpec",
    "Image",
    "ImageQuality",
    "LogMel",
    "Matching",
    "Modality",
    "MultiLabel",
    "Name",
    "Note",
    "Printable",
    "Raw",
    "Regression",
    "ResizeFilter",
    "Signal",
    "Sound",
    "SoundQuality",
    "Spec",
    "StateSpec",
    "Task",
    "TensorSpec",
    "Text",
    "check_consecutive",
    "check_states",
]

Modality = Annotated[Image | Sound | Text | Signal, Field(discriminator="kind")]
Task = Annotated[
    Classification | MultiLabel | Regression | Matching | Raw, Field(discriminator="kind")
]
