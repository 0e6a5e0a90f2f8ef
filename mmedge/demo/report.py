"""What is said about a training: accuracies, and on what they were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge.demo.originals import HELD_OUT_SPEAKER
from mmedge.demo.samples import NOTHING, Originals

__all__ = ["count_originals", "figures", "mean"]

Hits = NDArray[np.bool_]


def figures(
    hits: Mapping[str, Hits], label: NDArray[np.int64], snr_db: NDArray[np.float64]
) -> dict[str, Any]:
    """Accuracy of every subset of modalities, and of two of them with and without noise.

    Args:
        hits: subset, such as ``camera+mic`` -> bool ``[N]``: was the prediction right?
            Among them are ``mic`` and ``camera+mic+hint``.
        label: int64 ``[N]``, index into ``LABELS``.
        snr_db: float64 ``[N]``; infinite without noise, NaN where nothing is spoken.

    Returns:
        ``accuracy``: subset -> share that is right of all samples, 0..1; and the same of
        the clean and of the noisy words: ``mic_clean``, ``mic_noisy``, ``all_clean``,
        ``all_noisy``.
    """
    spoken = label != NOTHING
    rows = {"clean": spoken & np.isposinf(snr_db), "noisy": spoken & np.isfinite(snr_db)}
    words = {
        f"{name}_{what}": float(hits[subset][where].mean())
        for name, subset in (("mic", "mic"), ("all", "camera+mic+hint"))
        for what, where in rows.items()
    }
    return {"accuracy": {name: float(each.mean()) for name, each in hits.items()}, **words}


def mean(trees: Sequence[Any]) -> Any:
    """Mean of equal trees of numbers, leaf by leaf."""
    if isinstance(trees[0], dict):
        return {name: mean([tree[name] for tree in trees]) for name in trees[0]}
    return round(sum(trees) / len(trees), 5)


def count_originals(splits: Mapping[str, Originals]) -> dict[str, Any]:
    """How many images and recordings each split is made of, and who is in none but test."""
    counts = {
        name: {
            "images": sum(len(items) for items in one.images.values()),
            "recordings": sum(len(items) for items in one.words.values()),
        }
        for name, one in splits.items()
    }
    return {"held_out_speaker": HELD_OUT_SPEAKER, "originals": counts}
