"""What the heads that compare exactly two modalities have in common."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["the_task", "undecided"]


def the_task(head: str, widths: Mapping[str, int], outputs: Mapping[str, int]) -> str:
    """Name the one task of a head that compares two modalities.

    Raises:
        ValueError: there are not two modalities, or not one task with one logit.
    """
    if len(widths) != 2 or list(outputs.values()) != [1]:
        raise ValueError(
            f"{head} compares two modalities and gives one logit: do they belong together? "
            f"It got the modalities {list(widths)} and the outputs {dict(outputs)}. Give two "
            "modalities and {'match': 1}, or choose another head."
        )
    return next(iter(outputs))


def undecided(logit: Tensor, presence: Tensor) -> Tensor:
    """Answer 0 where one of the two is absent: there is nothing to compare.

    Args:
        logit: float32 ``[B, 1]``.
        presence: bool ``[B, 2]``.

    Returns:
        Float32 ``[B, 1]``.
    """
    return torch.where(presence[:, :1] & presence[:, 1:], logit, 0.0)
