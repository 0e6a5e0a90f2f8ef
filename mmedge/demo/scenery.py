"""What a camera sees where nobody holds up a sheet: made-up scenery, for training only.

Natural pictures look as if things of all sizes lay over each other: the dead-leaves model
(A. B. Lee, D. Mumford, J. Huang: Occlusion models for natural images, International Journal
of Computer Vision 41, 2001), here with textured leaves; their spectrum falls with about 1/f
(D. J. Field, Journal of the Optical Society of America A 4, 1987). Pure functions of a
random generator.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from mmedge.demo.paper import HEIGHT, WIDTH

__all__ = ["draw_scenery"]

Picture = NDArray[np.uint8]
Plane = NDArray[np.float32]

# Outlines are drawn so many times finer, which makes their edges smooth.
FINE = 2
CORNERS = 12


def draw_scenery(rng: np.random.Generator) -> Picture:
    """Take a picture of anything.

    Args:
        rng: all chance comes from here.

    Returns:
        Grey uint8 ``[96, 128]``.
    """
    scene = _texture(rng) if rng.random() < 0.2 else _leaves(rng)
    scene = (scene - scene.mean()) / max(float(scene.std()), 1e-3)
    scene = scene * rng.uniform(12, 75) + rng.uniform(60, 190)
    picture = Image.fromarray(scene.clip(0, 255).astype(np.uint8))
    radius = min(3.0, abs(rng.normal(0, 1.0)))
    blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)), np.float32)
    noisy = blurred + rng.normal(size=blurred.shape) * rng.uniform(0.5, 12)
    return np.asarray(noisy.clip(0, 255).round(), np.uint8)


def _texture(rng: np.random.Generator) -> Plane:
    """Clouds, gravel, grass: noise whose spectrum falls with frequency, perhaps stretched."""
    fy, fx = np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)[None]
    turn, stretch = rng.uniform(0, np.pi), np.exp(rng.uniform(-1.2, 1.2))
    along = (fx * np.cos(turn) + fy * np.sin(turn)) * stretch
    across = (fy * np.cos(turn) - fx * np.sin(turn)) / stretch
    frequency = np.maximum(np.hypot(along, across), 1 / WIDTH)
    spectrum = np.fft.rfft2(rng.normal(size=(HEIGHT, WIDTH)))
    noise = np.fft.irfft2(spectrum * frequency ** -rng.uniform(0.5, 2.0), (HEIGHT, WIDTH))
    return np.asarray(noise / noise.std(), np.float32)


def _leaves(rng: np.random.Generator) -> Plane:
    """Things over each other, each with a grey and a texture of its own."""
    scene = _texture(rng) * np.float32(rng.uniform(0, 0.5))
    smallest = rng.uniform(3, 15)
    for _ in range(int(rng.integers(3, 60))):
        mask = Image.new("L", (WIDTH * FINE, HEIGHT * FINE))
        ImageDraw.Draw(mask).polygon(_outline(rng, smallest), fill=255)
        small = mask.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
        alpha = np.asarray(small, np.float32) / 255
        leaf: Plane = np.full((HEIGHT, WIDTH), rng.normal(0, 1), np.float32)
        if rng.random() < 0.3:
            leaf = leaf + _texture(rng) * np.float32(rng.uniform(0, 0.4))
        scene = scene + alpha * (leaf - scene)
    return np.asarray(scene, np.float32)


def _outline(rng: np.random.Generator, smallest: float) -> list[tuple[float, float]]:
    """A disc, a bar or something crumpled; sizes as the model has them (density r^-3)."""
    radius = min(smallest / np.sqrt(1 - rng.random() * 0.998), 70.0)
    long = np.exp(abs(rng.normal(0, 0.8)))
    angles = np.linspace(0, 2 * np.pi, CORNERS if rng.random() < 0.6 else 4, endpoint=False)
    crumpled = 1 + rng.normal(0, rng.choice([0.0, 0.15, 0.4]), len(angles))
    x = np.cos(angles) * crumpled * radius * long
    y = np.sin(angles) * crumpled * radius / long
    turn = rng.uniform(0, 2 * np.pi)
    at_x, at_y = rng.uniform(-0.1, 1.1) * WIDTH, rng.uniform(-0.1, 1.1) * HEIGHT
    seen_x = (at_x + x * np.cos(turn) - y * np.sin(turn)) * FINE
    seen_y = (at_y + x * np.sin(turn) + y * np.cos(turn)) * FINE
    return list(zip(seen_x.tolist(), seen_y.tolist(), strict=True))
