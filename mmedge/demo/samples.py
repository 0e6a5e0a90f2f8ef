"""Samples of the demo: one moment, seen, heard and hinted at. Seeded and pure.

The same seed, index and originals always give the same sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmedge.demo.hints import hint_for
from mmedge.demo.paper import draw_paper
from mmedge.demo.room import change_voice, hear
from mmedge.demo.scenery import draw_scenery

__all__ = ["LABELS", "NOTHING", "Originals", "Sample", "make_sample"]

LABELS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "nothing",
)
NOTHING = 10

# The share of moments in which a digit is shown but not spoken, and as many the other way
# round: a head has to learn that one silent or blank modality is no contradiction.
ALONE = 0.06

# The share of training moments in which the camera, and as many in which the microphone,
# is drowned in white noise: what tells nothing should weigh nothing.
RUINED = 0.1

# The share of training moments without a digit on paper in which there is no paper either:
# a camera mostly looks at other things, and none of them is a digit.
ELSEWHERE = 0.7


@dataclass(frozen=True, kw_only=True)
class Originals:
    """What the samples are made of.

    Attributes:
        images: digit -> uint8 ``[N, 28, 28]``, light on dark.
        words: digit -> recordings, float32 ``[samples]`` in [-1, 1], 8 kHz.
    """

    images: Mapping[int, NDArray[np.uint8]]
    words: Mapping[int, Sequence[NDArray[np.float32]]]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One moment.

    Attributes:
        camera: grey uint8 ``[96, 128]``.
        mic: float32 ``[8000]`` in [-1, 1], one second.
        hint: a few words.
        label: index into ``LABELS``.
        snr_db: of a spoken word; infinite without noise, NaN where nothing is spoken.
    """

    camera: NDArray[np.uint8]
    mic: NDArray[np.float32]
    hint: str
    label: int
    snr_db: float


def make_sample(seed: int, index: int, originals: Originals, *, training: bool) -> Sample:
    """Make the sample of this seed and index.

    The eleven labels take turns. Half of the words are spoken into noise of -6 to 6 dB;
    the others are clean, but for half of those in training, which get 6 to 40 dB.

    Args:
        seed: of the whole set.
        index: of the sample in it.
        originals: images and recordings to draw from, pairs at random within a digit.
        training: change the speakers' voices and ruin some pictures and sounds, too.

    Returns:
        The sample.
    """
    rng = np.random.default_rng((seed, index))
    label = index % len(LABELS)
    digit = None if label == NOTHING else label
    alone = rng.random()  # below ALONE nothing is spoken, above 1 - ALONE nothing is shown
    glyph = word = None
    snr_db: float | None = None
    if digit is not None and alone <= 1 - ALONE:
        glyph = _draw(rng, originals.images[digit])
    if digit is not None and alone >= ALONE:
        word = _draw(rng, originals.words[digit])
        word = change_voice(rng, word) if training else word
        snr_db = _snr_db(rng, training)
    camera, mic = draw_paper(rng, glyph), hear(rng, word, snr_db)
    if training:
        if glyph is None:
            camera = _look_elsewhere(np.random.default_rng((seed, index, 1)), camera)
        camera, mic = _ruin(rng, camera, mic)
    spoken = np.nan if word is None else np.inf if snr_db is None else snr_db
    hint = hint_for(rng, digit)
    return Sample(camera=camera, mic=mic, hint=hint, label=label, snr_db=float(spoken))


def _look_elsewhere(rng: np.random.Generator, camera: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return draw_scenery(rng) if rng.random() < ELSEWHERE else camera


def _ruin(
    rng: np.random.Generator, camera: NDArray[np.uint8], mic: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    chance = rng.random()
    if chance < RUINED:
        noise = rng.normal(0, rng.uniform(60, 250), camera.shape)
        camera = (camera + noise).clip(0, 255).astype(np.uint8)
    elif chance < 2 * RUINED:
        noise = rng.normal(0, rng.uniform(0.1, 0.8), mic.shape)
        mic = (mic + noise).clip(-1, 1).astype(np.float32)
    return camera, mic


def _draw(rng: np.random.Generator, items: Sequence[NDArray] | NDArray) -> NDArray:  # type: ignore[type-arg]
    chosen: NDArray = items[int(rng.integers(len(items)))]  # type: ignore[type-arg]
    return chosen


def _snr_db(rng: np.random.Generator, training: bool) -> float | None:
    if rng.random() < 0.5:
        return float(rng.uniform(-6, 6))
    if training and rng.random() < 0.5:
        return float(rng.uniform(6, 40))
    return None
