"""Image processors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from mmedge.specs.hugging_face.files import Settings, check, make, read, refuse
from mmedge.specs.image import Image, ResizeFilter

__all__ = ["image_from_hugging_face"]

# Pillow's numbers, which transformers use for torchvision's filters as well.
_FILTERS: dict[int, ResizeFilter] = {
    0: "pillow-nearest",
    1: "pillow-lanczos",
    2: "pillow-bilinear",
    3: "pillow-bicubic",
    4: "pillow-box",
    5: "pillow-hamming",
}
# Image processor -> what it does where its file is silent.
_SQUARE = {"square": True}
_CUT = {"do_center_crop": True}
_PICTURES: dict[str, dict[str, Any]] = {
    "BitImageProcessor": {**_CUT, "resample": 3},
    "BlipImageProcessor": {**_SQUARE, "resample": 3},
    "ChineseCLIPImageProcessor": {**_CUT, "resample": 3},
    "CLIPImageProcessor": {**_CUT, "resample": 3},
    "ConvNextImageProcessor": {"resample": 3},
    "DeiTImageProcessor": {**_SQUARE, **_CUT, "resample": 3},
    "EfficientNetImageProcessor": {**_SQUARE, "include_top": True, "resample": 3},
    "MobileNetV1ImageProcessor": {**_CUT, "resample": 2},
    "MobileNetV2ImageProcessor": {**_CUT, "resample": 2},
    "MobileViTImageProcessor": {
        **_CUT,
        "do_flip_channel_order": True,
        "do_normalize": False,
        "resample": 2,
    },
    "PvtImageProcessor": {**_SQUARE, "resample": 3},
    "SiglipImageProcessor": {**_SQUARE, "resample": 3},
    "ViTImageProcessor": {**_SQUARE, "resample": 2},
}
_Sides = int | dict[str, int]


class _Pictures(Settings):
    size: _Sides
    square: bool = False  # not in the file: whether a bare number is both sides or the shorter
    resample: int
    do_resize: bool = True
    do_center_crop: bool = False
    crop_size: _Sides | None = None
    crop_pct: Annotated[float, Field(gt=0, le=1)] = 224 / 256
    do_rescale: bool = True
    rescale_factor: float = 1 / 255
    rescale_offset: bool = False
    do_normalize: bool = True
    include_top: bool = False
    image_mean: float | tuple[float, ...] = ()
    image_std: float | tuple[float, ...] = ()
    do_flip_channel_order: bool = False
    do_pad: bool = False


def image_from_hugging_face(path: Path | str) -> Image:
    """Read what an image encoder sees from a model's ``preprocessor_config.json``.

    Resizing is Pillow's. The processors of transformers that end in ``Fast`` (and all of them
    since version 5, where torchvision is installed) resize by torchvision instead, which is
    not the same to the bit.

    Args:
        path: the file, or the folder that holds it.

    Raises:
        ConfigError: there is no such file; the processor is not known here; or it does what
            an `Image` cannot say.
    """
    path, given = read(Path(path), "image_processor")
    kind = str(given.get("image_processor_type", given.get("feature_extractor_type", "")))
    kind = (
        kind.removesuffix("Fast").removesuffix("Pil").replace("FeatureExtractor", "ImageProcessor")
    )
    if kind not in _PICTURES or "auto_map" in given:
        refuse(path, f"the image processor {kind!r} is not one of {', '.join(_PICTURES)}", Image)
    settings = check(path, _Pictures, {**_PICTURES[kind], **given})
    if settings.do_pad:
        refuse(path, "pictures are padded", Image)
    if settings.resample not in _FILTERS:
        refuse(path, f"resample={settings.resample} is none of Pillow's filters", Image)
    fields = {
        **_fit(path, kind, settings),
        **_values(path, settings),
        "filter": _FILTERS[settings.resample],
        "colour": "bgr" if settings.do_flip_channel_order else "rgb",
    }
    return make(path, Image, fields)


def _fit(path: Path, kind: str, settings: _Pictures) -> dict[str, Any]:
    """Say how a picture of any size becomes one of the encoder's size."""
    if not settings.do_resize:
        refuse(path, "do_resize is false: the encoder sees pictures as large as they come", Image)
    size = _sides(settings.size, square=settings.square)
    cut = None
    if settings.do_center_crop:
        if settings.crop_size is None:
            refuse(path, "do_center_crop is true without a crop_size", Image)
        cut = _sides(settings.crop_size, square=True)
    if kind == "ConvNextImageProcessor" and size.keys() == {"shortest_edge"}:
        size, cut = _convnext(size["shortest_edge"], settings.crop_pct)
    if size.keys() == {"height", "width"}:
        if cut not in (None, size):
            refuse(path, f"pictures are stretched to {size} and then cut to {cut}", Image)
        return {**size, "fit": "stretch"}
    if size.keys() != {"shortest_edge"}:
        refuse(path, f"size={settings.size} is no fixed size", Image)
    if cut is None or cut.keys() != {"height", "width"}:
        refuse(path, f"with size={settings.size} and no cut, pictures keep their shape", Image)
    return {**cut, "fit": "cover", "shorter": size["shortest_edge"], "centre": "transformers"}


def _sides(size: _Sides, *, square: bool) -> dict[str, int]:
    if isinstance(size, dict):
        return size
    return {"height": size, "width": size} if square else {"shortest_edge": size}


def _convnext(side: int, crop_pct: float) -> tuple[dict[str, int], dict[str, int] | None]:
    """ConvNeXt cuts the centre below 384 pixels, and stretches from there on."""
    square = {"height": side, "width": side}
    return ({"shortest_edge": int(side / crop_pct)}, square) if side < 384 else (square, None)


def _values(path: Path, settings: _Pictures) -> dict[str, Any]:
    """Say what becomes of the pixels' values."""
    scale = settings.rescale_factor if settings.do_rescale else 1.0
    mean, std = _numbers(settings.image_mean), _numbers(settings.image_std)
    if not (mean and std) and (settings.do_normalize or settings.include_top):
        refuse(path, "pictures are normalised, but image_mean or image_std is missing", Image)
    if settings.include_top:  # EfficientNet divides a second time
        divided = tuple(each * each for each in std) if settings.do_normalize else std
    else:
        divided = std if settings.do_normalize else (1.0,)
    offset = 1.0 if settings.rescale_offset and settings.do_rescale else 0.0
    taken = mean if settings.do_normalize else (0.0,)
    return {"scale": scale, "mean": tuple(each + offset for each in taken), "std": divided}


def _numbers(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)
