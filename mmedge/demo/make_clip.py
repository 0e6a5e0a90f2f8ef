"""Make the demo's video: ``python -m mmedge.demo.make_clip --speech DIR``.

Sheets of paper are held up one after another while the unseen speaker says what they show,
or nothing, or, once, something else. The truth is written beside the video.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmedge._optional import require
from mmedge.demo.originals import load_originals
from mmedge.demo.paper import Bad, draw_sheet
from mmedge.demo.room import RATE_HZ, room_noise
from mmedge.demo.samples import LABELS, Originals
from mmedge.demo.sets import to_int16

__all__ = ["SCENES", "Scene", "write_clip"]

SIZE = (320, 240)
FRAME_HZ = 12
SCENE_MS = 1_500
SEED = 5
# Of each digit, the image and the recording that are used; the excerpt leaves them alone.
ORIGINAL = 41


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One and a half seconds.

    Attributes:
        shown: digit on the paper; ``None`` for an empty sheet.
        spoken: digit that is said; ``None`` for silence.
        snr_db: of the word in the room's noise.
    """

    shown: int | None
    spoken: int | None
    snr_db: float = 20.0

    @property
    def label(self) -> str | None:
        """What is true; ``None`` where eye and ear are told different things."""
        if None not in (self.shown, self.spoken) and self.shown != self.spoken:
            return None
        digit = self.spoken if self.shown is None else self.shown
        return LABELS[-1] if digit is None else LABELS[digit]


SCENES = (
    Scene(shown=3, spoken=3),
    Scene(shown=7, spoken=7),
    Scene(shown=None, spoken=None),
    Scene(shown=0, spoken=0, snr_db=6.0),
    Scene(shown=5, spoken=None),
    Scene(shown=2, spoken=8),
    Scene(shown=9, spoken=9, snr_db=0.0),
    Scene(shown=None, spoken=None),
    Scene(shown=4, spoken=4),
)


def write_clip(test: Originals, path: Path, scenes: tuple[Scene, ...] = SCENES) -> None:
    """Film the scenes.

    Args:
        test: the originals of the split ``test``.
        path: of the video, a ``.mkv`` (H.264 and lossless sound); the truth goes beside it,
            one JSON object per scene, as ``.json``.
        scenes: one after another.

    Raises:
        MissingDependencyError: PyAV is not installed.
    """
    av = require("av", extra="live", why="writing the demo's video")
    rng = np.random.default_rng(SEED)
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=FRAME_HZ, options={"crf": "24", "preset": "slow"})
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        sound = file.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        pictures = (frame for scene in scenes for frame in _film(rng, test, scene))
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="gray")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_HZ)
            file.mux(video.encode(frame))
        file.mux(video.encode())
        _write_sound(av, file, sound, np.concatenate(_record(rng, test, scenes)))
    truth = [_truth(number, scene) for number, scene in enumerate(scenes)]
    path.with_suffix(".json").write_text(json.dumps(truth, indent=1) + "\n", "utf-8")


def _film(rng: np.random.Generator, test: Originals, scene: Scene) -> Iterator[NDArray[np.uint8]]:
    """A sheet in an unsteady hand, grey uint8 ``[240, 320]`` per frame."""
    glyph = None if scene.shown is None else test.images[scene.shown][ORIGINAL]
    sheet = draw_sheet(rng, glyph, Bad(hidden=0.0, inverted=0.0))
    wide = (SIZE[0] + 32, SIZE[1] + 24)
    large = np.asarray(Image.fromarray(sheet).resize(wide, Image.Resampling.BICUBIC))
    at = np.array([12.0, 16.0])
    for _ in range(FRAME_HZ * SCENE_MS // 1000):
        at = (at + rng.normal(0, 1.2, 2)).clip(0, 24)
        top, left = at.astype(int)
        seen = large[top : top + SIZE[1], left : left + SIZE[0]]
        noisy = seen * 0.9 + rng.normal(0, 3, seen.shape)
        yield noisy.clip(0, 255).round().astype(np.uint8)


def _record(
    rng: np.random.Generator, test: Originals, scenes: tuple[Scene, ...]
) -> list[NDArray[np.float32]]:
    """One room, and in each scene a word after a third of a second."""
    samples = RATE_HZ * SCENE_MS // 1000
    room = room_noise(rng, samples * len(scenes)) * np.float32(0.003)
    parts = np.split(room, len(scenes))  # views
    for scene, part in zip(scenes, parts, strict=True):
        if scene.spoken is None:
            continue
        word = test.words[scene.spoken][ORIGINAL]
        word = word * np.float32(0.4 / np.abs(word).max())
        noise = np.sqrt((word**2).mean()) / 10 ** (scene.snr_db / 20)
        part[:] += room_noise(rng, samples) * np.float32(noise)
        begin = RATE_HZ // 3
        part[begin : begin + len(word)] += word[: samples - begin]
    return [part.clip(-1, 1) for part in parts]


def _write_sound(av: Any, file: Any, stream: Any, pcm: NDArray[np.float32]) -> None:
    for begin in range(0, len(pcm), 800):
        block = to_int16(pcm[begin : begin + 800])[None]
        frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, begin, Fraction(1, RATE_HZ)
        file.mux(stream.encode(frame))
    file.mux(stream.encode())


def _truth(number: int, scene: Scene) -> dict[str, Any]:
    return {
        "begin_ms": number * SCENE_MS,
        "end_ms": (number + 1) * SCENE_MS,
        "shown": None if scene.shown is None else LABELS[scene.shown],
        "spoken": None if scene.spoken is None else LABELS[scene.spoken],
        "label": scene.label,
    }


def main() -> None:
    """Write the video beside this file."""
    parser = argparse.ArgumentParser(description="Make the demo's video.")
    parser.add_argument("--speech", type=Path, required=True, help="folder of the recordings")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "clip.mkv")
    options = parser.parse_args()
    write_clip(load_originals(options.speech, "test"), options.out)


if __name__ == "__main__":
    main()
