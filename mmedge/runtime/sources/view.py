"""How a camera hangs: turned, mirrored, and what part of its picture counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mmedge.errors import ConfigError, SourceError

__all__ = ["View"]

Pixels = npt.NDArray[np.uint8]

_FLIPS = ("none", "horizontal", "vertical")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is done to every picture, in this order: rotate, flip, crop.

    Attributes:
        rotate: degrees clockwise: 0, 90, 180 or 270.
        flip: ``horizontal`` swaps left and right, ``vertical`` top and bottom.
        crop: left, top, width and height in pixels of the rotated and flipped picture.
    """

    rotate: int = 0
    flip: Literal["none", "horizontal", "vertical"] = "none"
    crop: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        if self.rotate not in {0, 90, 180, 270}:
            raise ConfigError(f"rotate={self.rotate} degrees; give 0, 90, 180 or 270")
        if self.flip not in _FLIPS:
            raise ConfigError(f"flip='{self.flip}'; give one of {', '.join(_FLIPS)}")
        if self.crop and (min(self.crop[:2]) < 0 or min(self.crop[2:]) < 1):
            raise ConfigError(
                f"crop={self.crop}; give left, top (from 0), width and height (from 1)"
            )

    def apply(self, pixels: Pixels) -> Pixels:
        """Give the picture as it is to be seen.

        Args:
            pixels: uint8 ``[h, w, 3]``; not changed.

        Returns:
            uint8 ``[h', w', 3]``, contiguous; ``pixels`` itself where nothing is to be done.

        Raises:
            SourceError: the picture is smaller than what is to be cut out of it.
        """
        seen = np.rot90(pixels, -self.rotate // 90) if self.rotate else pixels
        if self.flip != "none":
            seen = seen[:, ::-1] if self.flip == "horizontal" else seen[::-1]
        if self.crop is not None:
            left, top, width, height = self.crop
            if left + width > seen.shape[1] or top + height > seen.shape[0]:
                raise SourceError(
                    f"the picture is {seen.shape[1]}x{seen.shape[0]}, and crop={self.crop} "
                    "(left, top, width, height) reaches beyond it; make the crop smaller or ask "
                    "the camera for a larger picture"
                )
            seen = seen[top : top + height, left : left + width]
        return np.ascontiguousarray(seen)
