"""What an image encoder sees."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from mmedge.specs.base import Floats, Size, Spec
from mmedge.specs.quality import ImageQuality

__all__ = ["MAX_PIXELS", "Image", "ResizeFilter"]

MAX_PIXELS = 64 * 2**20
"""Of a raw picture; larger ones are refused: 64 megapixels are 192 MiB as RGB."""

ResizeFilter = Literal[
    "pillow-nearest",
    "pillow-box",
    "pillow-bilinear",
    "pillow-hamming",
    "pillow-bicubic",
    "pillow-lanczos",
    "cv2-nearest",
    "cv2-linear",
    "cv2-area",
    "cv2-cubic",
    "cv2-lanczos4",
]


class Image(Spec):
    """A picture, or a clip of ``frames`` pictures, as the encoder was trained on it.

    The graph's input is uint8 ``[B, height, width, C]``, or ``[B, frames, height,
    width, C]`` when ``frames > 1``; ``C`` is 1 for ``grey`` and else 3. The front-end
    computes ``(x * scale - mean) / std`` per channel and hands the encoder float32
    with channels first.

    Attributes:
        height: rows that the encoder sees.
        width: columns that the encoder sees.
        filter: the resize filter that the training pipeline used. Pillow's (and
            torchvision's on PIL images) antialias; cv2's do not, but for ``area``.
        fit: how another aspect ratio is met: ``stretch`` resizes both sides;
            ``cover`` resizes the shorter side and cuts the centre; ``letterbox``
            resizes to fit inside and pads with ``fill``.
        shorter: for ``cover``: length of the shorter side after resizing, before the
            centre is cut (torchvision's ``Resize(256)``, ``CenterCrop(224)``). ``None``
            takes the smallest that covers ``height`` x ``width``.
        centre: how the cut of ``cover`` is rounded where its margins cannot be equal: to
            even, as torchvision's ``CenterCrop`` does, or down, as transformers do.
        fill: grey value (0..255) of the ``letterbox`` padding.
        colour: channel order that the encoder was trained on.
        scale: factor from 0..255 to the unit of ``mean`` and ``std``.
        mean: per channel, after ``scale``.
        std: per channel, after ``scale``.
        frames: pictures per clip.
        stride_ms: time from one picture of a clip to the next.
        quality: when a live picture counts as spoiled.
    """

    kind: Literal["image"] = "image"
    height: Size
    width: Size
    filter: ResizeFilter = "pillow-bilinear"
    fit: Literal["stretch", "cover", "letterbox"] = "cover"
    shorter: Size | None = None
    centre: Literal["torchvision", "transformers"] = "torchvision"
    fill: Annotated[int, Field(ge=0, le=255)] = 114
    colour: Literal["rgb", "bgr", "grey"] = "rgb"
    scale: Annotated[float, Field(gt=0)] = 1 / 255
    mean: Floats = (0.0,)
    std: Floats = (1.0,)
    frames: Annotated[int, Field(ge=1, le=1024)] = 1
    stride_ms: Annotated[int, Field(ge=1, le=60_000)] = 100
    quality: ImageQuality = ImageQuality()

    @property
    def channels(self) -> int:
        """Channels of the graph's input."""
        return 1 if self.colour == "grey" else 3

    @model_validator(mode="after")
    def _check(self) -> Self:
        for field in ("mean", "std"):
            values = getattr(self, field)
            if len(values) not in (1, self.channels):
                raise ValueError(
                    f"{field} has {len(values)} values; give 1, or one for each of the "
                    f"{self.channels} channels of colour={self.colour!r}"
                )
        if min(self.std) <= 0:
            raise ValueError(f"std={self.std} must be positive: it divides")
        if self.centre != "torchvision" and self.fit != "cover":
            raise ValueError(f"centre only means something with fit='cover', not {self.fit!r}")
        if self.shorter is not None:
            if self.fit != "cover":
                raise ValueError(f"shorter only means something with fit='cover', not {self.fit!r}")
            if self.shorter < max(self.height, self.width):
                raise ValueError(
                    f"shorter={self.shorter} leaves less than the {self.height}x{self.width} "
                    "that is cut from it; raise it"
                )
        return self
