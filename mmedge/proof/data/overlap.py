"""Inputs that several parts of the data share, though their groups are others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mmedge.proof.data.prepared import Prepared
from mmedge.proof.data.splitting import PARTS, Split
from mmedge.specs import Modality, Text

__all__ = ["said_of_shared"]


def said_of_shared(
    prepared: Prepared, parts: Split, modalities: Mapping[str, Modality]
) -> tuple[str, ...]:
    """Warn of equal inputs in more than one part: what is proven on them was seen before.

    A column that tells the groups decides alone, so speakers may share a file. Texts may be
    the same for many.

    Args:
        prepared: the samples.
        parts: how they were split.
        modalities: of the model.

    Returns:
        A sentence for each modality that has some.
    """
    found = []
    for name in prepared.modalities:
        numbers = [np.unique(prepared.numbers[name][getattr(parts, part)]) for part in PARTS]
        given, counts = np.unique(np.concatenate(numbers), return_counts=True)
        shared = int(np.count_nonzero((given >= 0) & (counts > 1)))
        if shared and not isinstance(modalities[name], Text):
            found.append(
                f"{shared} of {prepared.unique(name)} different inputs of {name!r} are in more "
                "than one of the parts, though in groups of different names: what is proven on "
                "these was seen before. Split by what they share"
            )
    return tuple(found)
