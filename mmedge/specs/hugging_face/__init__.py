"""Reading what a model of the Hugging Face hub sees from its ``preprocessor_config.json``.

The file is read, not the package: transformers need not be installed. What it asks for is
given exactly or refused with the reason; processors that are not named here may do things
that their files do not say, and are refused too.
"""

from __future__ import annotations

from mmedge.specs.hugging_face.image import image_from_hugging_face
from mmedge.specs.hugging_face.sound import sound_from_hugging_face

__all__ = ["image_from_hugging_face", "sound_from_hugging_face"]
