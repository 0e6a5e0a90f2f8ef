"""What turns one raw sample into what the graphs take.

There is this one implementation: export, calibration, offline prediction and the live
pipeline all call it, so a model cannot see other pixels, samples or tokens in service
than it did when it was proven.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mmedge.bundle import Bundle
from mmedge.errors import ConfigError
from mmedge.runtime.preprocess.image import ImagePreprocessor, Picture
from mmedge.runtime.preprocess.signal import SignalPreprocessor
from mmedge.runtime.preprocess.sound import Pcm, SoundPreprocessor
from mmedge.runtime.preprocess.text import TextPreprocessor
from mmedge.specs import Image, Modality, Signal, Text

__all__ = [
    "ImagePreprocessor",
    "Pcm",
    "Picture",
    "Preprocessor",
    "Raw",
    "SignalPreprocessor",
    "SoundPreprocessor",
    "TextPreprocessor",
    "make_preprocessor",
    "make_preprocessors",
]

Raw = npt.NDArray[np.uint8] | npt.NDArray[np.float32] | Pcm | str
"""One raw sample: RGB uint8 ``[h, w, 3]`` or ``[T, h, w, 3]``; sound; a text; a signal."""


class Preprocessor(Protocol):
    """Makes the arrays of one sample, without batch axis, keyed by graph input."""

    def __call__(self, raw: Any) -> dict[str, npt.NDArray[Any]]:
        """Prepare one raw sample; the arrays are the caller's to keep, and contiguous."""
        ...


def make_preprocessor(
    name: str, modality: Modality, tokenizer_json: bytes | None = None
) -> Preprocessor:
    """Make what prepares the raw samples of one modality.

    The result answers uint8 ``frames`` ``[H, W, C]`` or ``[T, H, W, C]`` for an image,
    float32 ``samples`` ``[N]`` or ``[C, N]`` for a sound, float32 ``values`` ``[T, C]`` for
    a signal, and int64 ``ids`` and ``mask``
    ``[L]`` for a text. It keeps no state between calls and may be shared by threads.

    Args:
        name: the modality's name; error messages begin with it.
        modality: its specification.
        tokenizer_json: for a text, the content of its tokenizer file; else ``None``.

    Raises:
        ConfigError: a tokenizer is missing, is not wanted, or contradicts the modality.
        ArtefactError: ``tokenizer_json`` is not a tokenizer.
        ResourceError: ``tokenizer_json`` is too large.
        MissingDependencyError: the package that the modality needs is not installed.
    """
    if not isinstance(modality, Text):
        if tokenizer_json is not None:
            raise ConfigError(
                f"modality '{name}' is of kind '{modality.kind}' and takes no tokenizer; "
                "leave tokenizer_json out"
            )
        if isinstance(modality, Image):
            return ImagePreprocessor(name, modality)
        if isinstance(modality, Signal):
            return SignalPreprocessor(name, modality)
        return SoundPreprocessor(name, modality)
    if tokenizer_json is None:
        raise ConfigError(
            f"modality '{name}' is a text and needs its tokenizer: pass the content of "
            f"'{modality.tokenizer}' as tokenizer_json"
        )
    return TextPreprocessor(name, modality, tokenizer_json)


def make_preprocessors(bundle: Bundle) -> dict[str, Preprocessor]:
    """Make what prepares the raw samples of each of a bundle's modalities."""
    tokenizers = {name: bundle.read(ref) for name, ref in bundle.manifest.tokenizers.items()}
    return {
        name: make_preprocessor(name, modality, tokenizers.get(name))
        for name, modality in bundle.manifest.modalities.items()
    }
