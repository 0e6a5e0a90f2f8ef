"""A minute of what is no digit: photographs for the camera, noise for the microphone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.live.stage import SOUND_HZ

SECONDS = 60
FILM_HZ = 0.5
"""Every photograph is held for two seconds."""
PHOTOGRAPHS = (
    *("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "coffee.png"),
    *("coins.png", "color.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png"),
    *("motorcycle_left.png", "retina.jpg", "rocket.jpg"),
)


def missing() -> str:
    """What the photographs need, as a reason to skip; empty if they are there."""
    try:
        import skimage  # noqa: F401
    except ImportError:
        return "needs scikit-image, whose photographs are shown (pip install scikit-image)"
    absent = [name for name in PHOTOGRAPHS if not (_folder() / name).exists()]
    return f"this scikit-image lacks the photographs {', '.join(absent)}" if absent else ""


def _folder() -> Path:
    import skimage

    return Path(skimage.__file__).parent / "data"


def film() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Luma, uint8 ``[30, 480, 640]``: of every photograph the middle, and a corner near by."""
    pictures = []
    for name in PHOTOGRAPHS:
        with Image.open(_folder() / name) as image:
            grey = image.convert("L")
        width, height = grey.size
        side = min(width / 4, height / 3)
        for left, top, part in (
            ((width - 4 * side) / 2, (height - 3 * side) / 2, side),
            (width * 0.1, height * 0.1, side * 0.6),
        ):
            box = (left, top, left + 4 * part, top + 3 * part)
            pictures.append(grey.resize((640, 480), Image.Resampling.BICUBIC, box=box))
    return np.stack([np.asarray(each) for each in pictures])


def sound() -> np.ndarray[Any, np.dtype[np.int16]]:
    """White and pink noise by turns, each time louder, int16 at 48 kHz: -60 to -6 dBFS."""
    rng = np.random.default_rng(11)
    parts = []
    for turn in range(SECONDS // 3):
        noise = rng.normal(0, 1, 3 * SOUND_HZ)
        if turn % 2:
            spectrum = np.fft.rfft(noise)
            spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
            noise = np.fft.irfft(spectrum, len(noise))
            noise /= noise.std()
        level = 10 ** ((-60 + 54 * turn / (SECONDS // 3 - 1)) / 20)
        parts.append(noise * level * 32_768)
    return np.concatenate(parts).clip(-32_768, 32_767).astype(np.int16)
