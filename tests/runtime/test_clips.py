"""Files: what each reader refuses, kinds, and pictures."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from mmedge.errors import ResourceError, SourceError
from mmedge.runtime.clips import (
    kind_of,
    open_video,
    read_image,
    read_images,
    read_sound,
)
from tests.runtime.media import grey, ramp, steady, write_media, write_wav

READERS: list[Callable[[Any], Any]] = [read_image, read_sound, open_video, kind_of]


def save(path: Path, pixels: Any, **options: Any) -> Path:
    Pillow.fromarray(np.asarray(pixels)).save(path, **options)
    return path


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


# --- what no reader takes


@pytest.mark.parametrize("read", READERS)
def test_a_missing_file_is_named(read: Callable[[Any], Any], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot read '.*nope.png': No such file"):
        read(tmp_path / "nope.png")


@pytest.mark.parametrize("read", READERS)
def test_a_folder_is_refused(read: Callable[[Any], Any], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a folder"):
        read(tmp_path)


@pytest.mark.parametrize("read", READERS)
def test_an_empty_file_is_refused(read: Callable[[Any], Any], tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(SourceError, match="is empty"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("name", ["a.mp4", "a.txt", "a.png", "a.wav"])
def test_a_text_is_refused_whatever_its_name(
    read: Callable[[Any], Any], name: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("no picture, no sound\n" * 100)
    with pytest.raises(SourceError, match="cannot be opened"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    "text",
    ["#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{0}\n", "ffconcat version 1.0\nfile {0}\n"],
)
def test_a_playlist_cannot_make_us_open_other_files(text: str, tmp_path: Path) -> None:
    inner = write_wav(tmp_path / "secret.wav", ramp(1000), 8000)
    (tmp_path / "list.mp4").write_text(text.format(inner.name))
    with pytest.raises(SourceError, match="cannot be opened"):
        read_sound(tmp_path / "list.mp4")


@pytest.mark.parametrize("read", READERS)
def test_a_path_is_never_an_address(read: Callable[[Any], Any]) -> None:
    with pytest.raises(SourceError, match="No such file"):
        read("http://127.0.0.1:9/a.mp4")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("read", READERS)
def test_a_named_pipe_does_not_block(read: Callable[[Any], Any], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="not a regular file"):
        read(tmp_path / "pipe")


def test_a_link_is_followed(tmp_path: Path) -> None:
    save(tmp_path / "a.png", grey(7))
    (tmp_path / "link").symlink_to("a.png")
    assert kind_of(tmp_path / "link") == "image"
    assert read_image(str(tmp_path / "link"))[0, 0].tolist() == [7, 7, 7]


# --- kinds


def test_content_tells_the_kind_and_not_the_name(tmp_path: Path) -> None:
    save(tmp_path / "a.mp4", grey(1), format="PNG")
    write_wav(tmp_path / "b.png", ramp(1000), 8000)
    write_media(tmp_path / "c.mkv", steady([1, 2, 3])).rename(tmp_path / "c.wav")
    write_media(tmp_path / "d.mkv", steady([1, 2, 3]), ramp(2000)).rename(tmp_path / "d.jpg")
    write_media(tmp_path / "e.mkv", samples=ramp(2000))
    kinds = [kind_of(tmp_path / name) for name in ("a.mp4", "b.png", "c.wav", "d.jpg", "e.mkv")]
    assert kinds == ["image", "sound", "video", "video", "sound"]


def test_a_moving_gif_is_a_video_and_a_still_one_a_picture(tmp_path: Path) -> None:
    still, moving = (Pillow.fromarray(grey(level)) for level in (0, 255))
    still.save(tmp_path / "still.gif")
    still.save(tmp_path / "moving.gif", save_all=True, append_images=[moving])
    assert kind_of(tmp_path / "still.gif") == "image"
    assert kind_of(tmp_path / "moving.gif") == "video"
    with pytest.raises(SourceError, match="moving picture"):
        read_image(tmp_path / "moving.gif")


# --- pictures


@pytest.mark.parametrize("ending", ["png", "bmp", "gif", "tiff", "webp", "ppm", "jpg"])
def test_common_formats_become_rgb(ending: str, tmp_path: Path) -> None:
    options = {"lossless": True} if ending == "webp" else {}
    rgb = read_image(save(tmp_path / f"a.{ending}", grey(130), **options))
    assert (rgb.shape, rgb.dtype) == ((48, 64, 3), np.uint8)
    assert rgb.flags.c_contiguous
    assert abs(int(rgb[0, 0, 0]) - 130) <= 1


def test_the_cameras_orientation_is_applied(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 0] = 255
    exif = Pillow.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    rgb = read_image(save(tmp_path / "a.png", pixels, exif=exif))
    assert rgb[..., 0].tolist() == [[0, 255], [0, 0], [0, 0]]


def test_transparency_is_dropped_as_in_training_pipelines(tmp_path: Path) -> None:
    rgba = np.array([[[200, 100, 50, 0], [200, 100, 50, 255]]], np.uint8)
    rgb = read_image(save(tmp_path / "a.png", rgba))
    assert rgb.tolist() == [[[200, 100, 50], [200, 100, 50]]]


def test_of_16_bits_the_upper_8_count(tmp_path: Path) -> None:
    deep = np.array([[0, 255, 256, 0x1234, 65_535]], np.uint16)
    assert read_image(save(tmp_path / "a.png", deep))[0, :, 0].tolist() == [0, 0, 1, 0x12, 255]
    assert read_image(save(tmp_path / "a.tiff", deep))[0, :, 2].tolist() == [0, 0, 1, 0x12, 255]
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 65535\n\x12\x34\xff\xff")
    assert read_image(tmp_path / "a.pgm")[0, :, 0].tolist() == [0x12, 255]


def test_pixels_without_a_known_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="32 bits per pixel"):
        read_image(save(tmp_path / "a.tiff", np.zeros((4, 4), np.float32)))


def test_palettes_and_grey_become_rgb(tmp_path: Path) -> None:
    Pillow.fromarray(grey(130)).quantize(4).save(tmp_path / "p.png", transparency=0)
    assert read_image(tmp_path / "p.png")[0, 0].tolist() == [130, 130, 130]
    assert read_image(save(tmp_path / "l.png", grey(9)[..., 0])).shape == (48, 64, 3)


@pytest.mark.parametrize("size", [(65_535, 65_535), (8193, 8192)])
def test_a_huge_picture_is_refused_by_its_header(size: tuple[int, int], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_header(*size))
    with pytest.raises(ResourceError, match="more than"):
        read_image(tmp_path / "a.png")
    with pytest.raises(ResourceError, match="more than"):
        kind_of(tmp_path / "a.png")


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "bmp", "tiff", "webp"])
def test_a_picture_that_is_cut_off_is_refused(ending: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = save(tmp_path / f"a.{ending}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceError):
        read_image(path)


def test_pictures_of_one_clip_must_be_of_one_size(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{level}.png", grey(level)) for level in (1, 2)]
    assert read_images(paths)[:, 0, 0, 0].tolist() == [1, 2]
    paths.append(save(tmp_path / "3.png", grey(3, 50, 60)))
    with pytest.raises(SourceError, match=r"3.png' is 60x50, but the first .* is 64x48"):
        read_images(paths)
