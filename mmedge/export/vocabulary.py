"""Does the tokenizer fit the encoder? An id beyond the embedding's rows reads nothing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from mmedge.errors import ConfigError, MmedgeError
from mmedge.export.reference import Reference, encode
from mmedge.runtime.preprocess import Preprocessor, TextPreprocessor
from mmedge.specs import Modality, Text

__all__ = ["check_vocabularies"]


def check_vocabularies(
    reference: Reference,
    modalities: Mapping[str, Modality],
    preprocessors: Mapping[str, Preprocessor],
) -> None:
    """Let each text encoder read its tokenizer's highest id; seeded texts would seldom hold it.

    Raises:
        ConfigError: it fails there, though it reads padding: it has fewer tokens.
    """
    for name, spec in modalities.items():
        prepare = preprocessors[name]
        if not isinstance(spec, Text) or not isinstance(prepare, TextPreprocessor):
            continue
        highest = prepare.tokenizer.highest_id
        # One that does not even read padding fails for another reason, which the samples tell.
        if _reads(reference, name, spec, spec.pad_id) and not _reads(
            reference, name, spec, highest
        ):
            raise ConfigError(
                f"the tokenizer of {name!r} gives ids up to {highest}, and the encoder fails on "
                "that one: its embedding has fewer rows. Give the tokenizer that the encoder was "
                "trained with, or leave out the tokens that were added to it later."
            )


def _reads(reference: Reference, name: str, spec: Text, token: int) -> bool:
    ids = np.full((2, spec.max_tokens), spec.pad_id, np.int64)
    ids[:, 0] = token
    mask = np.zeros_like(ids)
    mask[:, 0] = 1
    try:
        encode(name, reference.encoders[name], [torch.from_numpy(ids), torch.from_numpy(mask)])
    except MmedgeError:
        return False
    return True
