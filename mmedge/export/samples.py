"""What a proof runs on: the user's clips, or else seeded raw inputs of the right range.

The seeded ones are noise with structure: smooth pictures, coloured sound, words of the tokenizer.
They exercise every operator; they say nothing about accuracy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmedge.errors import ConfigError
from mmedge.proof.golden import Raw
from mmedge.runtime.clips import read_clips
from mmedge.runtime.preprocess import Pcm
from mmedge.runtime.windows.walk import iter_windows
from mmedge.specs import Image, Modality, Signal, Sound, Text

__all__ = ["MIN_SAMPLES", "read_complete", "seeded_samples"]

MIN_SAMPLES = 2
"""With one sample all rows of a batch are equal, and a model that mixes them looks proven."""
MAX_CLIPS = 64
"""Clips that a proof runs on; more would take long and find nothing new."""
MAX_CLIP_BYTES = 128 * 2**20
"""Size of their raw samples, all of which are held in memory; one clip may be larger."""

Generator = np.random.Generator


def seeded_samples(
    modalities: Mapping[str, Modality], tokenizers: Mapping[str, bytes], count: int, seed: int
) -> dict[str, tuple[Raw, ...]]:
    """Draw ``count`` raw inputs per modality; a modality's draws depend on its name only."""
    drawn = {}
    for name, modality in modalities.items():
        generator = np.random.default_rng([seed, *name.encode()])
        words = _words(tokenizers[name]) if isinstance(modality, Text) else []
        drawn[name] = tuple(_draw(modality, words, generator) for _ in range(count))
    return drawn


def read_complete(path: Path, modalities: Mapping[str, Modality]) -> dict[str, tuple[Raw, ...]]:
    """Take the first window of each clip that has every modality, of 64 clips at most.

    Raises:
        ConfigError: fewer than 2 such clips.
    """
    complete: list[Mapping[str, Raw]] = []
    size = 0
    for clip in read_clips(path, modalities):
        raw = next(iter_windows(clip.sources, modalities)).raw
        if set(raw) == set(modalities):
            complete.append(raw)
            size += sum(map(_size_bytes, raw.values()))
        if len(complete) == MAX_CLIPS or size > MAX_CLIP_BYTES:
            break
    if len(complete) < MIN_SAMPLES:
        raise ConfigError(
            f"{path} has {len(complete)} clips with all of {sorted(modalities)}; the proof needs "
            f"at least {MIN_SAMPLES}"
        )
    return {name: tuple(raw[name] for raw in complete) for name in modalities}


def _size_bytes(raw: Raw) -> int:
    if isinstance(raw, str):
        return len(raw)
    return int((raw.samples if isinstance(raw, Pcm) else raw).nbytes)


def _draw(modality: Modality, words: list[str], generator: Generator) -> Raw:
    if isinstance(modality, Image):
        return _picture(modality, generator)
    if isinstance(modality, Sound):
        return _sound(modality, generator)
    if isinstance(modality, Signal):
        return _signal(modality, generator)
    count = int(generator.integers(1, modality.max_tokens + 1))
    return " ".join(generator.choice(words, size=count).tolist())


def _picture(spec: Image, generator: Generator) -> NDArray[np.uint8]:
    """A smooth picture with some noise, larger than the model's and of another shape."""
    rows, columns = spec.height * 5 // 4 + 3, spec.width * 3 // 2 + 5
    frames = (spec.frames,) if spec.frames > 1 else ()
    coarse = generator.uniform(0, 255, (*frames, 5, 7, 3))
    y = np.linspace(0, 4, rows).round().astype(int)
    x = np.linspace(0, 6, columns).round().astype(int)
    picture = coarse[..., y, :, :][..., :, x, :] + generator.normal(0, 12, (rows, columns, 1))
    return np.clip(picture, 0, 255).astype(np.uint8)


def _sound(spec: Sound, generator: Generator) -> NDArray[np.float32]:
    """Three tones in noise, peak below 1."""
    time_s = np.arange(spec.samples) / spec.rate_hz
    shape = (spec.channels, spec.samples) if spec.channels > 1 else (spec.samples,)
    signal = generator.normal(0, 0.05, shape)
    for frequency in generator.uniform(60, spec.rate_hz * 0.45, 3):
        phase = generator.uniform(0, 2 * np.pi)
        signal = signal + 0.15 * np.sin(2 * np.pi * frequency * time_s + phase)
    return np.clip(signal, -1, 1).astype(np.float32)


def _signal(spec: Signal, generator: Generator) -> NDArray[np.float32]:
    """A random walk with noise, about as large as the mean and deviation say."""
    walk = np.cumsum(generator.normal(0, 1, (spec.samples, spec.channels)), axis=0)
    shape = walk / max(float(np.abs(walk).max()), 1e-9) + generator.normal(0, 0.3, walk.shape)
    return (np.array(spec.mean) + np.array(spec.std) * shape).astype(np.float32)


def _words(tokenizer: bytes) -> list[str]:
    """Words of a tokenizer's vocabulary that a person might type."""
    model = json.loads(tokenizer)["model"]
    vocabulary = model.get("vocab", {})
    entries = vocabulary if isinstance(vocabulary, dict) else [entry[0] for entry in vocabulary]
    words = sorted(word for word in entries if word.isalnum() and word.isascii())
    return words or ["a", "b", "c"]
