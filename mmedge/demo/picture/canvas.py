"""A sheet to draw on: twice as large as the picture, so that every edge comes out smooth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont

__all__ = [
    "BODY",
    "HEADING",
    "INK",
    "MODALITIES",
    "MUTED",
    "PAPER",
    "RIGHT",
    "RULE",
    "SMALL",
    "TITLE",
    "WRONG",
    "Box",
    "Canvas",
    "Colour",
]

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels of the finished picture."""
Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (30, 36, 46)
MUTED: Colour = (98, 107, 120)
RULE: Colour = (222, 226, 232)
# Okabe and Ito's palette: told apart with every kind of colour vision.
RIGHT: Colour = (0, 158, 115)
WRONG: Colour = (213, 94, 0)
MODALITIES: tuple[Colour, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (204, 121, 167),
    (86, 180, 233),
    (240, 228, 66),
    (90, 90, 90),
)

# Letters' sizes; the smallest is still readable when the picture is shown at half its width.
TITLE, HEADING, BODY, SMALL = 38, 28, 22, 20

_SCALE = 2
_ELLIPSIS = "…"
_FEWEST_LETTERS = 3


class Canvas:
    """Draws in pixels of the finished picture.

    Args:
        width: of the finished picture.
        height: of the finished picture.
    """

    def __init__(self, width: int, height: int) -> None:
        self._image = Image.new("RGB", (width * _SCALE, height * _SCALE), PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def finish(self) -> Image.Image:
        """Give the picture at its own size."""
        return self._image.reduce(_SCALE)

    def box(self, box: Box, fill: Colour, radius: float = 0) -> None:
        """Fill a box; one without an area leaves nothing."""
        left, top, right, bottom = (round(edge * _SCALE) for edge in box)
        if right > left and bottom > top:
            # Pillow's boxes include their last pixel.
            corners = (left, top, right - 1, bottom - 1)
            self._draw.rounded_rectangle(corners, radius * _SCALE, fill)

    def hatched(self, box: Box, fill: Colour, stripes: Colour, step: float = 9) -> None:
        """Fill a box and rule it diagonally, so that it differs by more than its colour."""
        left, top, right, bottom = (round(edge * _SCALE) for edge in box)
        if right <= left or bottom <= top:
            return
        patch = Image.new("RGB", (right - left, bottom - top), fill)
        draw = ImageDraw.Draw(patch)
        # Counted from the sheet's corner, so that stripes run on from box to box.
        first = -(left + bottom) % round(step * _SCALE) - patch.height
        for x in range(first, patch.width, round(step * _SCALE)):
            draw.line((x, patch.height, x + patch.height, 0), stripes, 2 * _SCALE)
        self._image.paste(patch, (left, top))

    def line(self, points: Sequence[tuple[float, float]], fill: Colour, width: float = 1) -> None:
        """Draw through points."""
        scaled = [(x * _SCALE, y * _SCALE) for x, y in points]
        self._draw.line(scaled, fill, max(1, round(width * _SCALE)), joint="curve")

    def dashed(self, x: float, top: float, bottom: float, fill: Colour, width: float = 1) -> None:
        """Draw a vertical line of dashes."""
        y = top
        while y < bottom:
            self.line([(x, y), (x, min(y + 5, bottom))], fill, width)
            y += 9

    def dot(self, x: float, y: float, radius: float, fill: Colour) -> None:
        """Draw a filled circle."""
        edges = (x - radius, y - radius, x + radius, y + radius)
        self._draw.ellipse([edge * _SCALE for edge in edges], fill)

    def paste(self, picture: Image.Image, box: Box) -> None:
        """Put a picture into a box that has its shape, or nearly so."""
        left, top, right, bottom = (round(edge * _SCALE) for edge in box)
        size = (max(1, right - left), max(1, bottom - top))
        self._image.paste(picture.resize(size, Image.Resampling.LANCZOS), (left, top))

    def text(
        self,
        at: tuple[float, float],
        text: str,
        size: int = BODY,
        fill: Colour = INK,
        *,
        anchor: str = "ls",
        bold: bool = False,
        width: float | None = None,
    ) -> float:
        """Write one line, cut to ``width``; give the width that it took.

        Args:
            at: where the anchor lies.
            text: line breaks in it become spaces.
            size: of the letters.
            fill: their colour.
            anchor: Pillow's two letters: ``l``, ``m``, ``r``; ``s`` (baseline), ``m``.
            bold: drawn with a thin outline, since Pillow's own font has one weight.
            width: longer texts end in an ellipsis; too narrow for any sense, in nothing.
        """
        line = self.cut(text, size, width)
        x, y = (edge * _SCALE for edge in at)
        stroke = max(1, round(size * _SCALE / 50)) if bold else 0
        font = _font(size)
        self._draw.text((x, y), line, fill, font, anchor, stroke_width=stroke, stroke_fill=fill)
        return self.width(line, size)

    def width(self, text: str, size: int = BODY) -> float:
        """Tell how wide a text will be."""
        return _font(size).getlength(" ".join(text.split())) / _SCALE

    def cut(self, text: str, size: int = BODY, width: float | None = None) -> str:
        """Shorten a text to ``width`` with an ellipsis, or to nothing if little is left."""
        line = " ".join(text.split())
        if width is None or self.width(line, size) <= width:
            return line
        # A label may have hundreds of letters, of which no line holds more.
        kept = line[:256]
        while len(kept) > _FEWEST_LETTERS:
            kept = kept[:-1].rstrip()
            if self.width(kept + _ELLIPSIS, size) <= width:
                return kept + _ELLIPSIS
        return ""


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size * _SCALE)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType: its wheels have it")
    return font
