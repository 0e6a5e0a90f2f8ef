"""Photographs of scikit-image, and copies of them as a camera might have taken them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

HELD_OUT = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
# Of scikit-image what is left, hardly a photograph, and scikit-learn's two.
FOR_RANGES = (
    "cell.png",
    "color.png",
    "horse.png",
    "logo.png",
    "page.png",
    "phantom.png",
    "text.png",
)
FOR_RANGES_TOO = ("china.jpg", "flower.jpg")


def load(folder: Path, name: str) -> NDArray[np.uint8]:
    with Image.open(folder / name) as picture:
        return np.asarray(picture.convert("RGB"))


def copies(picture: NDArray[np.uint8], count: int, seed: int) -> list[NDArray[Any]]:
    """Crops of 70 to 100 %, half of them flipped, light +-30 %, JPEG of quality 50."""
    random, whole = np.random.default_rng(seed), Image.fromarray(picture)
    made = []
    for _ in range(count):
        part = random.uniform(0.7, 1.0)
        width, height = int(whole.width * part), int(whole.height * part)
        left = int(random.integers(0, whole.width - width + 1))
        top = int(random.integers(0, whole.height - height + 1))
        copy = whole.crop((left, top, left + width, top + height))
        if random.random() < 0.5:
            copy = copy.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        file = io.BytesIO()
        ImageEnhance.Brightness(copy).enhance(random.uniform(0.7, 1.3)).save(
            file, "JPEG", quality=50
        )
        with Image.open(file) as packed:
            made.append(np.asarray(packed.convert("RGB")))
    return made
