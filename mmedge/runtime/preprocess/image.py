"""Pictures: colour, then resize by the named filter, then cut or pad to the encoder's size.

The resampling is Pillow's or cv2's own, never a copy of it, because that is what the
model was trained with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mmedge._optional import require
from mmedge.errors import ConfigError, ResourceError
from mmedge.specs import Image, ResizeFilter

__all__ = ["ImagePreprocessor", "Picture"]

Pixels = npt.NDArray[np.uint8]

# A 1 x 60000 strip scaled to cover a square would be gigapixels before it is cut.
_MAX_RESIZED_PIXELS = 64 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture, or a clip, whose channels may stand in OpenCV's order.

    Attributes:
        pixels: uint8 ``[h, w, 3]`` or ``[frames, h, w, 3]``.
        order: of the channels.
    """

    pixels: Pixels
    order: Literal["rgb", "bgr"] = "rgb"


class ImagePreprocessor:
    """Prepares RGB pictures, or clips of them, for one image modality.

    Args:
        name: the modality's name, for messages.
        spec: size, filter, fit and colour that the encoder was trained on.

    Raises:
        MissingDependencyError: the filter is cv2's, and cv2 is not installed.
    """

    def __init__(self, name: str, spec: Image) -> None:
        self._name = name
        self._spec = spec
        self._grey, self._resize, self._swap = _library(spec)

    def __call__(self, raw: Pixels | Picture) -> dict[str, Pixels]:
        """Prepare one picture or clip.

        Args:
            raw: RGB, uint8 in 0..255, ``[h, w, 3]``; for a modality of several frames
                ``[frames, h, w, 3]``, oldest first; or a `Picture` of another order.

        Returns:
            ``frames``: uint8 ``[H, W, C]`` or ``[frames, H, W, C]``, contiguous.

        Raises:
            ConfigError: another dtype, shape or number of frames came.
            ResourceError: the aspect ratio is so extreme that ``cover`` would need more
                than 64 megapixels.
        """
        pixels, order = (raw.pixels, raw.order) if isinstance(raw, Picture) else (raw, "rgb")
        _check(self._name, self._spec, pixels)
        if self._spec.frames == 1:
            return {"frames": self._one(pixels, order)}
        return {"frames": np.stack([self._one(frame, order) for frame in pixels])}

    def _one(self, rgb: Pixels, order: str) -> Pixels:
        spec = self._spec
        height, width = resized_size(spec, *rgb.shape[:2])
        if height * width > _MAX_RESIZED_PIXELS:
            raise ResourceError(
                f"modality '{self._name}': a picture of {rgb.shape[1]}x{rgb.shape[0]} becomes "
                f"{width}x{height} before its centre is cut to {spec.width}x{spec.height}, more "
                "than 64 megapixels; crop it first, or use fit='letterbox'"
            )
        picture = np.ascontiguousarray(rgb)
        if spec.colour == "grey":
            picture = self._grey(picture if order == "rgb" else self._swap(picture))
        if picture.shape[:2] != (height, width):
            picture = self._resize(picture, height, width)
        picture = picture.reshape(height, width, spec.channels)
        if spec.fit == "cover":
            picture = _cut_centre(picture, spec)
        elif spec.fit == "letterbox":
            picture = _pad(picture, spec)
        # Filters treat channels alike, so their order is changed when the picture is small.
        if spec.colour not in ("grey", order):
            return self._swap(picture)
        # A copy even where nothing was done: the caller may reuse its frame buffer.
        return np.array(picture, dtype=np.uint8, order="C", copy=True)


def resized_size(spec: Image, height: int, width: int) -> tuple[int, int]:
    """Give the size to resample to, before the centre is cut or the border padded.

    Args:
        spec: the modality.
        height: rows of the raw picture, at least 1.
        width: columns of the raw picture, at least 1.

    Returns:
        Height and width in pixels.
    """
    if spec.fit == "stretch":
        return spec.height, spec.width
    if spec.fit == "letterbox":
        # Ultralytics' LetterBox, to the pixel.
        ratio = min(spec.height / height, spec.width / width)
        return max(1, round(height * ratio)), max(1, round(width * ratio))
    if spec.shorter is not None:
        # torchvision's Resize(int): int(shorter * long / short).
        if height <= width:
            return spec.shorter, spec.shorter * width // height
        return spec.shorter * height // width, spec.shorter
    if spec.height * width >= spec.width * height:
        return spec.height, spec.height * width // height
    return spec.width * height // width, spec.width


def _check(name: str, spec: Image, raw: object) -> None:
    ndim = 3 if spec.frames == 1 else 4
    wanted = "[h, w, 3]" if ndim == 3 else f"[{spec.frames}, h, w, 3]"
    if not isinstance(raw, np.ndarray):
        came = type(raw).__name__
    elif (
        raw.dtype == np.uint8
        and raw.ndim == ndim
        and raw.shape[-1] == 3
        and min(raw.shape) > 0
        and (ndim == 3 or len(raw) == spec.frames)
    ):
        return
    else:
        came = f"{raw.dtype}{list(raw.shape)}"
    raise ConfigError(
        f"modality '{name}' takes RGB pictures as uint8 {wanted}, but got {came}. "
        "Channels come last, in the order R, G, B and from 0 to 255, whatever the encoder "
        "wants: mmedge converts to its colour and size"
    )


def _cut_centre(picture: Pixels, spec: Image) -> Pixels:
    down, right = picture.shape[0] - spec.height, picture.shape[1] - spec.width
    if spec.centre == "transformers":
        top, left = down // 2, right // 2
    else:  # torchvision's CenterCrop, with Python's rounding of halves to even
        top, left = round(down / 2.0), round(right / 2.0)
    return picture[top : top + spec.height, left : left + spec.width]


def _pad(picture: Pixels, spec: Image) -> Pixels:
    height, width = picture.shape[:2]
    out = np.full((spec.height, spec.width, spec.channels), spec.fill, np.uint8)
    top, left = (spec.height - height) // 2, (spec.width - width) // 2
    out[top : top + height, left : left + width] = picture
    return out


_Filter = Callable[[Pixels], Pixels]
_Resize = Callable[[Pixels, int, int], Pixels]


def _library(spec: Image) -> tuple[_Filter, _Resize, _Filter]:
    """Choose the library whose filter the recipe names; its grey and its swap go with it."""
    if spec.filter.startswith("pillow-"):
        return _pillow_grey, _pillow_resize(spec.filter), _swap
    cv2 = require("cv2", extra="opencv-headless|opencv", why=f"the resize filter '{spec.filter}'")
    return (
        lambda rgb: cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY),
        _cv2_resize(cv2, spec.filter),
        lambda picture: cv2.cvtColor(picture, cv2.COLOR_RGB2BGR),
    )


def _pillow_grey(rgb: Pixels) -> Pixels:
    from PIL import Image as Pillow

    return np.asarray(Pillow.fromarray(rgb).convert("L"))


def _swap(picture: Pixels) -> Pixels:
    # Half the time of a copy with a negative stride.
    out = np.empty(picture.shape, np.uint8)
    for channel in range(3):
        out[..., channel] = picture[..., 2 - channel]
    return out


def _pillow_resize(name: ResizeFilter) -> _Resize:
    from PIL import Image as Pillow

    resample = Pillow.Resampling[name.removeprefix("pillow-").upper()]
    return lambda picture, height, width: np.asarray(
        Pillow.fromarray(picture).resize((width, height), resample)
    )


def _cv2_resize(cv2: Any, name: ResizeFilter) -> _Resize:
    interpolation = getattr(cv2, f"INTER_{name.removeprefix('cv2-').upper()}")
    return lambda picture, height, width: cv2.resize(
        picture, (width, height), interpolation=interpolation
    )
