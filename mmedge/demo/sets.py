"""Sets of samples as arrays: what the camera, the microphone and the hint give the model."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge.demo.hints import encode
from mmedge.demo.samples import Originals, Sample, make_sample
from mmedge.runtime.preprocess import ImagePreprocessor
from mmedge.specs import Image

__all__ = ["SampleSet", "make_set", "stack_samples", "to_int16"]

CHUNK = 1_000


@dataclass(frozen=True, kw_only=True)
class SampleSet:
    """Samples side by side, resized and tokenised as the runtime does it.

    Attributes:
        camera: uint8 ``[N, H, W, C]``.
        mic: int16 ``[N, samples]``, full scale 32,768.
        ids: int64 ``[N, L]``.
        mask: int64 ``[N, L]``.
        label: int64 ``[N]``.
        snr_db: float64 ``[N]``; infinite without noise, NaN where nothing is spoken.
    """

    camera: NDArray[np.uint8]
    mic: NDArray[np.int16]
    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    label: NDArray[np.int64]
    snr_db: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.label)


def stack_samples(samples: Sequence[Sample], camera: Image) -> SampleSet:
    """Put samples side by side as arrays, pictures through the runtime's own resizing.

    Args:
        samples: at least one.
        camera: what the encoder sees.
    """
    resize = ImagePreprocessor("camera", camera)
    ids, mask = zip(*(encode(sample.hint) for sample in samples), strict=True)
    return SampleSet(
        camera=np.stack([resize(_rgb(sample.camera))["frames"] for sample in samples]),
        mic=np.stack([to_int16(sample.mic) for sample in samples]),
        ids=np.stack(ids),
        mask=np.stack(mask),
        label=np.array([sample.label for sample in samples]),
        snr_db=np.array([sample.snr_db for sample in samples]),
    )


def make_set(  # noqa: PLR0917 - it is the signature of a map over processes
    originals: Originals, seed: int, count: int, camera: Image, training: bool, workers: int = 2
) -> SampleSet:
    """Make ``count`` samples of a seed.

    Args:
        originals: images and recordings of one split.
        seed: of the set; the same gives the same, whatever ``workers`` is.
        count: how many.
        camera: what the camera's encoder sees.
        training: change the speakers' voices, too.
        workers: processes that share the work; 1 works here.
    """
    starts = range(0, count, CHUNK)
    jobs = [
        (originals, seed, range(start, min(start + CHUNK, count)), camera, training)
        for start in starts
    ]
    if workers == 1 or len(jobs) == 1:
        return _join([_make_chunk(*job) for job in jobs])
    # Not a fork: the parent's torch has threads, which a fork would leave behind locked.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        return _join(list(pool.map(_make_chunk, *zip(*jobs, strict=True))))


def to_int16(pcm: NDArray[np.float32]) -> NDArray[np.int16]:
    """Float32 in [-1, 1] as a 16-bit recording has it."""
    return (pcm * 32_767).round().astype(np.int16)


def _make_chunk(
    originals: Originals, seed: int, indices: range, camera: Image, training: bool
) -> SampleSet:
    samples = [make_sample(seed, index, originals, training=training) for index in indices]
    return stack_samples(samples, camera)


def _join(parts: Sequence[SampleSet]) -> SampleSet:
    names = [field.name for field in fields(SampleSet)]
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in names
    }
    return SampleSet(**joined)


def _rgb(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(grey[:, :, None], 3, axis=2)
