"""Picture files, decoded as the usual training pipelines decode them."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mmedge.errors import ResourceError, SourceError
from mmedge.runtime.clips.container import check_file
from mmedge.specs.image import MAX_PIXELS

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["is_image", "read_image", "read_images"]

# No formats that run programs (EPS) or that nobody trains on: less that a stranger can
# reach. JPEG also reads MPO, the pairs of some phones, and gives their first picture.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# A TIFF may hold pages and a JPEG previews; in these, several pictures are a film.
_FILMS = ("GIF", "PNG", "WEBP")
# What Pillow's decoders raise on damaged data, by fuzzing them.
_DAMAGE = (OSError, ValueError, SyntaxError, TypeError, EOFError, OverflowError, struct.error)


def read_image(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Read a picture file as RGB.

    The orientation that a camera noted (EXIF) is applied. Transparency is dropped, not
    composited, as by Pillow's ``convert("RGB")`` and ``cv2.imread``, which is what models
    are trained with. Of 16 bits the upper 8 count.

    Args:
        path: BMP, GIF, JPEG, PNG, PPM, TIFF or WebP; of several pages the first.

    Returns:
        uint8 ``[h, w, 3]``, 0..255, R first, contiguous.

    Raises:
        SourceError: missing, empty, cut off, damaged, a film, or not a picture.
        ResourceError: more than 64 megapixels, found before anything is decoded.
    """
    path = check_file(path)
    with _open(path) as image:
        if _is_film(image):
            raise SourceError(f"'{path}' is a moving picture; give a still one, or a video")
        try:
            return _rgb(image, path)
        except SourceError:
            raise
        except _DAMAGE as exc:
            raise SourceError(
                f"'{path}' is damaged or cut off ({exc}); save or copy it again"
            ) from exc


def read_images(paths: Sequence[str | os.PathLike[str]]) -> npt.NDArray[np.uint8]:
    """Read the pictures of one clip.

    Args:
        paths: oldest first, at least one; each as `read_image` takes it.

    Returns:
        uint8 ``[len(paths), h, w, 3]``, RGB, contiguous.

    Raises:
        SourceError: as `read_image`, or the pictures differ in size.
        ResourceError: as `read_image`.
    """
    pictures = [read_image(path) for path in paths]
    for path, picture in zip(paths, pictures, strict=True):
        if picture.shape != pictures[0].shape:
            raise SourceError(
                f"'{path}' is {picture.shape[1]}x{picture.shape[0]}, but the first picture of its "
                f"clip is {pictures[0].shape[1]}x{pictures[0].shape[0]}; give pictures of one size"
            )
    return np.stack(pictures)


def is_image(path: Path) -> bool:
    """Tell by the content whether the file is a still picture.

    Raises:
        ResourceError: it is one of more than 64 megapixels.
    """
    try:
        with _open(path) as image:
            return not _is_film(image)
    except SourceError:
        return False


def _open(path: Path) -> Image.Image:
    """Read the header only."""
    from PIL import Image

    try:
        image = Image.open(path, formats=_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        came = re.search(r"\d+(?= pixels)", str(exc))
        raise ResourceError(
            f"'{path}' is a picture of {came[0] if came else 'too many'} pixels, more than the "
            f"{MAX_PIXELS} that mmedge reads; scale it down"
        ) from exc
    except _DAMAGE as exc:
        raise SourceError(
            f"'{path}' cannot be opened as a picture; give one of {', '.join(_FORMATS)}"
        ) from exc
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise ResourceError(
            f"'{path}' is a picture of {image.width}x{image.height}, more than the "
            f"{MAX_PIXELS} pixels that mmedge reads; scale it down"
        )
    return image


def _is_film(image: Image.Image) -> bool:
    return image.format in _FILMS and bool(getattr(image, "is_animated", False))


def _rgb(image: Image.Image, path: Path) -> npt.NDArray[np.uint8]:
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16") or (upright.mode == "I" and image.format in ("PNG", "PPM")):
        # Pillow would clip at 255 instead of scaling.
        upright = Image.fromarray((np.asarray(upright).astype(np.uint32) >> 8).astype(np.uint8))
    if upright.mode in ("I", "F"):
        raise SourceError(
            f"'{path}' has 32 bits per pixel, of which mmedge cannot know the range; save it "
            "with 8 or 16"
        )
    return np.array(upright.convert("RGB"))
