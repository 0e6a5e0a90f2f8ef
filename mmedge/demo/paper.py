"""Pictures as a camera would take them of a digit on paper: drawn, not photographed.

A handwritten digit is put on a textured, shaded, perhaps ruled sheet, seen at an angle, out
of focus, in poor light, perhaps half hidden. Pure functions of a random generator; the
result is synthetic, and is called so wherever it is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

__all__ = ["HEIGHT", "WIDTH", "Bad", "draw_paper", "draw_sheet"]

HEIGHT, WIDTH = 96, 128

Picture = NDArray[np.uint8]
Plane = NDArray[np.float32]

# A handwritten digit comes as 28 x 28; it is cut out of a sheet twice as fine.
GLYPH = 56


@dataclass(frozen=True, kw_only=True)
class Bad:
    """How bad pictures get.

    Attributes:
        tilt_deg: standard deviation of the rotation.
        blur: scale of the blur's radius, pixels of the picture.
        noise: largest standard deviation of the sensor's noise, grey values.
        hidden: share of pictures in which something lies over the digit.
        inverted: share of pictures that are light on dark.
    """

    tilt_deg: float = 9.0
    blur: float = 1.6
    noise: float = 30.0
    hidden: float = 0.35
    inverted: float = 0.15


def draw_paper(rng: np.random.Generator, glyph: Picture | None, bad: Bad | None = None) -> Picture:
    """Take a picture of a sheet of paper with a digit on it, or of an empty one.

    Args:
        rng: all chance comes from here.
        glyph: uint8 ``[28, 28]``, light on dark as in MNIST; ``None`` for an empty sheet.
        bad: how bad the picture gets.

    Returns:
        Grey uint8 ``[96, 128]``.
    """
    bad = bad or Bad()
    return _expose(rng, draw_sheet(rng, glyph, bad), bad)


def draw_sheet(rng: np.random.Generator, glyph: Picture | None, bad: Bad) -> Plane:
    """Draw the sheet itself: what a perfect camera would see.

    Args:
        rng: all chance comes from here.
        glyph: uint8 ``[28, 28]``, light on dark as in MNIST; ``None`` for an empty sheet.
        bad: how the sheet lies, and what lies on it.

    Returns:
        Grey float32 ``[96, 128]`` around 0..255.
    """
    sheet = _sheet(rng)
    if glyph is not None:
        ink = np.float32(sheet.mean() - rng.uniform(55, 120))
        alpha = _place(rng, glyph, bad) * np.float32(rng.uniform(0.75, 1.0))
        sheet = sheet + alpha * (ink - sheet)
    if rng.random() < bad.hidden:
        sheet = _hide(rng, sheet)
    return 255 - sheet if rng.random() < bad.inverted else sheet


def _sheet(rng: np.random.Generator) -> Plane:
    """Light paper: shaded, blotchy, grainy, sometimes ruled."""
    y, x = np.mgrid[-0.5 : 0.5 : HEIGHT * 1j, -0.5 : 0.5 : WIDTH * 1j].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    shade = rng.uniform(0, 55) * (np.cos(angle) * x + np.sin(angle) * y)
    blotches = Image.fromarray(rng.normal(size=(6, 8)).astype(np.float32))
    wide = np.asarray(blotches.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    grain = rng.normal(size=(HEIGHT, WIDTH)) * rng.uniform(0.5, 4)
    sheet = rng.uniform(150, 240) + shade + wide * rng.uniform(0, 9) + grain
    if rng.random() < 0.3:
        pitch, first = rng.uniform(9, 22), rng.uniform(0, 9)
        rows = np.mod(np.arange(HEIGHT) - first, pitch) < 1
        sheet[rows] -= rng.uniform(10, 45)
        if rng.random() < 0.5:
            sheet[:, np.mod(np.arange(WIDTH) - first, pitch) < 1] -= rng.uniform(10, 45)
    return sheet.astype(np.float32)


def _place(rng: np.random.Generator, glyph: Picture, bad: Bad) -> Plane:
    """How much ink each pixel gets, 0..1, ``[96, 128]``."""
    fine = Image.fromarray(glyph).resize((GLYPH, GLYPH), Image.Resampling.BICUBIC)
    alpha = np.asarray(fine, np.float32) / 255
    # A threshold and a slope thin or thicken the stroke and sharpen its edge, as pens do.
    alpha = (alpha - rng.uniform(0.1, 0.45)) * rng.uniform(1.5, 4)
    pen = Image.fromarray((alpha.clip(0, 1) * 255).astype(np.uint8))
    side = rng.uniform(52, 112)
    reach = 0.8 * max(0.0, HEIGHT - 0.75 * side) / 2
    centre = np.array([WIDTH, HEIGHT]) / 2 + rng.uniform(-reach, reach, 2)
    turn = np.deg2rad(rng.normal(0, bad.tilt_deg))
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = matrix @ np.array([[rng.uniform(0.8, 1.1), rng.normal(0, 0.1)], [0, 1]])
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    corners = corners + rng.normal(0, 0.03, (4, 2))  # seen at an angle
    seen = centre + side * corners @ matrix.T
    size, how = (WIDTH, HEIGHT), Image.Transform.PERSPECTIVE
    placed = pen.transform(size, how, _homography(seen), Image.Resampling.BILINEAR)
    return np.asarray(placed, np.float32) / np.float32(255)


def _homography(seen: NDArray[np.float64]) -> list[float]:
    """Pillow's eight coefficients from the picture to the glyph, by its four corners."""
    rows, wanted = [], []
    square = ((0, 0), (GLYPH, 0), (GLYPH, GLYPH), (0, GLYPH))
    for (x, y), (u, v) in zip(seen, square, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    return [float(value) for value in np.linalg.solve(np.array(rows), np.array(wanted))]


def _hide(rng: np.random.Generator, sheet: Plane) -> Plane:
    """Lay something over a part: a finger from the edge, or a stripe."""
    mask = Image.new("L", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(mask)
    angle, middle = rng.uniform(0, 2 * np.pi), np.array([WIDTH, HEIGHT]) / 2
    away = np.array([np.cos(angle), np.sin(angle)])
    tip = middle + away * rng.uniform(2, 40)
    end = tip + away * 120 + rng.normal(0, 20, 2)
    width = int(rng.integers(8, 24))
    draw.line([tuple(tip), tuple(end)], fill=255, width=width)
    radius = width / 2
    draw.ellipse([tuple(tip - radius), tuple(tip + radius)], fill=255)
    alpha = np.asarray(mask.filter(ImageFilter.GaussianBlur(1)), np.float32) / 255
    over = np.float32(rng.uniform(60, 220))
    return np.asarray(sheet + alpha * (over - sheet), np.float32)


def _expose(rng: np.random.Generator, sheet: Plane, bad: Bad) -> Picture:
    """Focus, light, and the sensor's noise."""
    picture = Image.fromarray(sheet.clip(0, 255).astype(np.uint8))
    radius = min(4.0, abs(rng.normal(0, bad.blur)))
    blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)), np.float32)
    light = blurred * rng.uniform(0.5, 1.1) + rng.uniform(-10, 15)
    noisy = light + rng.normal(size=light.shape) * rng.uniform(1, bad.noise) * rng.random()
    return np.asarray(noisy.clip(0, 255).round(), np.uint8)
