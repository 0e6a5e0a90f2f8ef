"""Pictures: the very pixels that Pillow, cv2 and torchvision's recipe give."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow

from mmedge.errors import ConfigError, ResourceError
from mmedge.runtime.preprocess import ImagePreprocessor, make_preprocessor
from mmedge.runtime.preprocess.image import resized_size
from mmedge.specs import Image

PILLOW = {
    "pillow-nearest": Pillow.Resampling.NEAREST,
    "pillow-box": Pillow.Resampling.BOX,
    "pillow-bilinear": Pillow.Resampling.BILINEAR,
    "pillow-hamming": Pillow.Resampling.HAMMING,
    "pillow-bicubic": Pillow.Resampling.BICUBIC,
    "pillow-lanczos": Pillow.Resampling.LANCZOS,
}
CV2 = {
    "cv2-nearest": cv2.INTER_NEAREST,
    "cv2-linear": cv2.INTER_LINEAR,
    "cv2-area": cv2.INTER_AREA,
    "cv2-cubic": cv2.INTER_CUBIC,
    "cv2-lanczos4": cv2.INTER_LANCZOS4,
}
# Odd sizes, upscaling both ways, one pixel, one row, one column, and no change at all.
SIZES = [(97, 131), (131, 97), (5, 7), (1, 1), (1, 40), (40, 1), (23, 31)]


def picture(height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def prepare(spec: Image, raw: Any) -> npt.NDArray[np.uint8]:
    return ImagePreprocessor("camera", spec)(raw)["frames"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PILLOW)
def test_stretch_gives_the_pixels_of_pillow(name: Any, size: tuple[int, int]) -> None:
    raw = picture(*size)
    spec = Image(height=23, width=31, filter=name, fit="stretch")
    expected = np.asarray(Pillow.fromarray(raw).resize((31, 23), PILLOW[name]))
    assert np.array_equal(prepare(spec, raw), expected)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CV2)
def test_stretch_gives_the_pixels_of_cv2(name: Any, size: tuple[int, int]) -> None:
    raw = picture(*size)
    spec = Image(height=23, width=31, filter=name, fit="stretch")
    expected = cv2.resize(raw, (31, 23), interpolation=CV2[name])
    assert np.array_equal(prepare(spec, raw), expected)


@pytest.mark.parametrize("name", [*PILLOW, *CV2])
def test_every_filter_works_with_every_fit_and_colour(name: Any) -> None:
    for fit in ("stretch", "cover", "letterbox"):
        for colour, channels in (("rgb", 3), ("bgr", 3), ("grey", 1)):
            spec = Image(height=24, width=17, filter=name, fit=fit, colour=colour)  # type: ignore[arg-type]
            out = prepare(spec, picture(31, 45))
            assert out.shape == (24, 17, channels)
            assert out.dtype == np.uint8
            assert out.flags.c_contiguous


@pytest.mark.parametrize("name", PILLOW)
def test_grey_is_pillows_before_a_filter_of_pillow(name: Any) -> None:
    raw = picture(97, 131)
    spec = Image(height=23, width=31, filter=name, fit="stretch", colour="grey")
    expected = np.asarray(Pillow.fromarray(raw).convert("L").resize((31, 23), PILLOW[name]))
    assert np.array_equal(prepare(spec, raw)[..., 0], expected)


@pytest.mark.parametrize("name", CV2)
def test_grey_is_cv2s_before_a_filter_of_cv2(name: Any) -> None:
    raw = picture(97, 131)
    spec = Image(height=23, width=31, filter=name, fit="stretch", colour="grey")
    grey = cv2.cvtColor(raw, cv2.COLOR_RGB2GRAY)
    expected = cv2.resize(grey, (31, 23), interpolation=CV2[name])
    assert np.array_equal(prepare(spec, raw)[..., 0], expected)


@pytest.mark.parametrize("name", ["pillow-bilinear", "cv2-linear"])
def test_bgr_is_what_a_pipeline_of_cv2_reads(name: Any) -> None:
    raw = picture(97, 131)
    spec = Image(height=23, width=31, filter=name, fit="stretch", colour="bgr")
    bgr = np.ascontiguousarray(raw[..., ::-1])
    if name == "cv2-linear":
        expected = cv2.resize(bgr, (31, 23), interpolation=cv2.INTER_LINEAR)
    else:
        expected = np.asarray(Pillow.fromarray(bgr).resize((31, 23), PILLOW[name]))
    assert np.array_equal(prepare(spec, raw), expected)


@pytest.mark.parametrize(
    ("raw", "resized", "box"),
    [
        # (h, w); (w, h) after torchvision's Resize(256); left, top, right, bottom of the crop.
        ((480, 640), (341, 256), (58, 16, 282, 240)),
        ((640, 480), (256, 341), (16, 58, 240, 282)),
        ((500, 333), (256, 384), (16, 80, 240, 304)),
        # 257 - 224 = 33, half of it 16.5, which Python rounds to 16; 35 gives 17.5 and 18.
        ((256, 257), (257, 256), (16, 16, 240, 240)),
        ((256, 259), (259, 256), (18, 16, 242, 240)),
        ((10, 10), (256, 256), (16, 16, 240, 240)),
    ],
)
def test_cover_resizes_the_shorter_side_and_cuts_the_centre_as_torchvision(
    raw: tuple[int, int], resized: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    rgb = picture(*raw)
    spec = Image(height=224, width=224, shorter=256)
    expected = Pillow.fromarray(rgb).resize(resized, PILLOW["pillow-bilinear"]).crop(box)
    assert np.array_equal(prepare(spec, rgb), np.asarray(expected))


def test_transformers_round_an_odd_margin_down() -> None:
    rgb = picture(256, 259)  # 259 - 224 = 35, half of it 17.5: 18 for torchvision
    spec = Image(height=224, width=224, shorter=256, centre="transformers")
    assert np.array_equal(prepare(spec, rgb), rgb[16:240, 17:241])


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ((480, 640), (240, 320)),
        ((480, 480), (320, 320)),
        ((1080, 1920), (224, 398)),
        ((224, 320), (224, 320)),
        ((1, 1), (320, 320)),
    ],
)
def test_cover_without_shorter_just_covers(raw: tuple[int, int], expected: tuple[int, int]) -> None:
    assert resized_size(Image(height=224, width=320), *raw) == expected


def test_letterbox_pads_around_the_centre() -> None:
    raw = np.full((10, 20, 3), 200, np.uint8)
    out = prepare(Image(height=20, width=20, fit="letterbox", fill=7), raw)
    assert np.array_equal(out[5:15], np.full((10, 20, 3), 200))
    assert np.array_equal(out[:5], np.full((5, 20, 3), 7))
    assert np.array_equal(out[15:], np.full((5, 20, 3), 7))


def test_letterbox_puts_the_odd_row_below_and_never_loses_a_side() -> None:
    spec = Image(height=10, width=10, fit="letterbox", fill=0)
    assert resized_size(spec, 5, 10) == (5, 10)
    assert resized_size(spec, 1, 4000) == (1, 10)
    rows = prepare(spec, np.full((5, 10, 3), 9, np.uint8))[:, 0, 0]
    assert rows.tolist() == [0, 0, 9, 9, 9, 9, 9, 0, 0, 0]


@pytest.mark.parametrize("fit", ["stretch", "cover", "letterbox"])
@pytest.mark.parametrize("name", ["pillow-lanczos", "cv2-cubic"])
def test_a_picture_of_the_right_size_is_not_touched(fit: Any, name: Any) -> None:
    raw = picture(23, 31)
    out = prepare(Image(height=23, width=31, filter=name, fit=fit), raw)
    assert np.array_equal(out, raw)
    assert not np.shares_memory(out, raw)


def test_a_clip_is_its_pictures() -> None:
    raw = np.stack([picture(31, 45, seed) for seed in range(3)])
    out = prepare(Image(height=16, width=16, frames=3), raw)
    assert out.shape == (3, 16, 16, 3)
    one = Image(height=16, width=16)
    assert np.array_equal(out, np.stack([prepare(one, frame) for frame in raw]))


@pytest.mark.parametrize("name", ["pillow-bilinear", "cv2-linear"])
@pytest.mark.parametrize("colour", ["rgb", "bgr", "grey"])
def test_views_and_read_only_arrays_are_welcome(name: Any, colour: Any) -> None:
    whole = picture(64, 80)
    view = whole[::2, ::-2]
    view.flags.writeable = False
    spec = Image(height=16, width=16, filter=name, colour=colour)
    assert np.array_equal(prepare(spec, view), prepare(spec, view.copy()))


@pytest.mark.parametrize(
    ("raw", "came"),
    [
        (np.zeros((8, 8, 3), np.float32), r"float32\[8, 8, 3\]"),
        (np.zeros((8, 8), np.uint8), r"uint8\[8, 8\]"),
        (np.zeros((8, 8, 4), np.uint8), r"uint8\[8, 8, 4\]"),
        (np.zeros((3, 8, 8), np.uint8), r"uint8\[3, 8, 8\]"),
        (np.zeros((1, 8, 8, 3), np.uint8), r"uint8\[1, 8, 8, 3\]"),
        (np.zeros((0, 8, 3), np.uint8), r"uint8\[0, 8, 3\]"),
        ("a.png", "str"),
        (None, "NoneType"),
    ],
)
def test_another_array_is_refused(raw: Any, came: str) -> None:
    with pytest.raises(ConfigError, match=rf"'camera' takes .* uint8 \[h, w, 3\], but got {came}"):
        prepare(Image(height=8, width=8), raw)


def test_a_clip_of_another_length_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"uint8 \[4, h, w, 3\], but got uint8\[3, 8, 8, 3\]"):
        prepare(Image(height=8, width=8, frames=4), np.zeros((3, 8, 8, 3), np.uint8))


def test_a_strip_that_would_become_gigapixels_is_refused() -> None:
    with pytest.raises(ResourceError, match="13440000x224 before its centre"):
        prepare(Image(height=224, width=224), np.zeros((1, 60_000, 3), np.uint8))


def test_a_picture_takes_no_tokenizer() -> None:
    with pytest.raises(ConfigError, match="takes no tokenizer"):
        make_preprocessor("camera", Image(height=8, width=8), b"{}")
