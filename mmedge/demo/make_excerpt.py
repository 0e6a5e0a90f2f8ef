"""Make the demo's test excerpt: ``python -m mmedge.demo.make_excerpt --speech DIR``.

Labelled samples of the unseen speaker and unseen handwriting, each as a camera, a
microphone and a person would have delivered it. No recording is used twice.
"""

from __future__ import annotations

import argparse
import json
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmedge.demo.originals import load_originals
from mmedge.demo.room import RATE_HZ
from mmedge.demo.samples import LABELS, NOTHING, Originals, Sample, make_sample
from mmedge.demo.sets import to_int16

__all__ = ["PER_LABEL", "make_excerpt", "write_wav"]

# Of each of the eleven labels.
PER_LABEL = 15
SEED = 77


def make_excerpt(test: Originals, per_label: int = PER_LABEL) -> list[Sample]:
    """Make the samples; labels take turns.

    Args:
        test: the originals of the split ``test``, in their order.
        per_label: samples of each label; each takes the next image and recording.

    Returns:
        ``11 * per_label`` samples, as in testing: half of the words clean, half in noise.
    """
    return [
        make_sample(
            SEED, index, _only(test, index % len(LABELS), index // len(LABELS)), training=False
        )
        for index in range(per_label * len(LABELS))
    ]


def _only(test: Originals, label: int, turn: int) -> Originals:
    if label == NOTHING:
        return Originals(images={}, words={})
    return Originals(
        images={label: test.images[label][turn : turn + 1]},
        words={label: test.words[label][turn : turn + 1]},
    )


def write_excerpt(samples: list[Sample], folder: Path) -> None:
    """Write pictures, sounds and the list of clips.

    Args:
        samples: to write.
        folder: gets ``camera/000.png``, ``mic/000.wav`` and ``clips.jsonl``.
    """
    for name in ("camera", "mic"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    lines = []
    for index, sample in enumerate(samples):
        camera, mic = f"camera/{index:03}.png", f"mic/{index:03}.wav"
        Image.fromarray(sample.camera).save(folder / camera, optimize=True)
        write_wav(folder / mic, sample.mic)
        labels = {"digit": LABELS[sample.label]}
        row = {"camera": camera, "mic": mic, "hint": sample.hint, "labels": labels}
        lines.append(json.dumps({**row, "sound": _sound(sample.snr_db)}) + "\n")
    (folder / "clips.jsonl").write_text("".join(lines), "utf-8")


def write_wav(path: Path, pcm: NDArray[np.float32]) -> None:
    """Write float32 ``[samples]`` in [-1, 1] as 16-bit mono at 8 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(to_int16(pcm).astype("<i2").tobytes())


def _sound(snr_db: float) -> str:
    if np.isnan(snr_db):
        return "no word"
    return "clean" if np.isinf(snr_db) else "noisy"


def main() -> None:
    """Write the excerpt beside this file."""
    parser = argparse.ArgumentParser(description="Make the demo's test excerpt.")
    parser.add_argument("--speech", type=Path, required=True, help="folder of the recordings")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data")
    options = parser.parse_args()
    write_excerpt(make_excerpt(load_originals(options.speech, "test")), options.out)


if __name__ == "__main__":
    main()
