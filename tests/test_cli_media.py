"""Bad media on the command line: one clear message with the remedy, and the exit code."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmedge.bundle import Bundle, save_bundle
from tests.runtime.media import steady, write_media
from tests.runtime.test_clips import png_header

Run = Callable[..., tuple[int, str, str]]


def write_wave(path: Path, channels: int, seconds: float = 1.0) -> Path:
    samples = np.zeros((round(8000 * seconds), channels), "<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.tobytes())
    return path


def huge_picture(folder: Path) -> Path:
    path = folder / "huge.png"
    path.write_bytes(png_header(65_535, 65_535))
    return path


def text_named_video(folder: Path) -> Path:
    path = folder / "clip.mp4"
    path.write_text("this is no video")
    return path


def cut_picture(folder: Path) -> Path:
    whole, path = folder / "whole.png", folder / "cut.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(whole)
    path.write_bytes(whole.read_bytes()[:2000])
    return path


def empty_file(folder: Path) -> Path:
    (folder / "empty.wav").touch()
    return folder / "empty.wav"


@pytest.mark.parametrize(
    "case",
    [
        (huge_picture, 6, "of 4294836225 pixels, more than the 67108864 that mmedge reads"),
        (text_named_video, 5, "cannot be opened as a sound or video file"),
        (cut_picture, 5, "cut.png"),
        (empty_file, 5, "is empty (0 bytes)"),
        (lambda folder: folder / "missing.png", 5, "No such file"),
        (lambda folder: folder, 5, "is a folder"),
    ],
    ids=["huge", "text", "cut", "empty", "missing", "folder"],
)
def test_a_file_that_cannot_be_read_ends_with_one_message(
    mmedge: Run, demo_bundle: Path, tmp_path: Path, case: tuple[Callable[[Path], Path], int, str]
) -> None:
    make, code, words = case
    ended, out, err = mmedge("predict", demo_bundle, make(tmp_path), "--backend", "cpu")
    assert (ended, out) == (code, "")
    assert err.startswith("mmedge: ")
    assert words in err
    assert "Traceback" not in err
    assert err.count("\n") == 1


def strict(demo: Bundle, folder: Path) -> Path:
    """The demo's model, but one that does not say what stereo is to become."""
    manifest = demo.manifest
    mic = manifest.modalities["mic"].model_copy(update={"downmix": None})
    changed = manifest.model_copy(update={"modalities": {**manifest.modalities, "mic": mic}})
    save_bundle(Bundle.in_memory(changed, demo.files), folder / "strict.mmedge")
    return folder / "strict.mmedge"


def test_stereo_where_mono_is_wanted_is_refused_with_the_remedy_and_the_remedy_works(
    mmedge: Run, demo: Bundle, tmp_path: Path
) -> None:
    bundle, sound = strict(demo, tmp_path), write_wave(tmp_path / "a.wav", 2)
    code, out, err = mmedge("predict", bundle, sound, "--json")
    assert (code, out) == (2, "")
    assert "downmix" in err
    for how in ("mean", "first"):
        code, out, _ = mmedge("predict", bundle, sound, "--json", "--downmix", how)
        assert (code, len(out.splitlines())) == (0, 1)
    assert mmedge("predict", bundle, sound, "--downmix", "loudest")[0] == 2


def test_a_picture_where_a_sound_is_wanted_is_told_by_its_kind(
    mmedge: Run, demo_bundle: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    code, out, err = mmedge("predict", demo_bundle, f"mic={tmp_path / 'a.png'}")
    assert (code, out) == (5, "")
    assert "modality 'mic' takes a sound or a video, but" in err
    assert "is of kind 'image'; give another file" in err


def test_a_video_without_sound_is_seen_and_its_silence_is_said(
    mmedge: Run, demo_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    video = write_media(tmp_path / "mute.mkv", steady([90] * 30))
    code, out, _ = mmedge("predict", demo_bundle, video, "--json")
    assert code == 0
    assert '"mic": false' in out
    assert "mute.mkv has no sound: the model hears nothing" in caplog.text
    code, out, err = mmedge("predict", demo_bundle, f"mic={video}")
    assert (code, out) == (5, "")
    assert "is a video without sound" in err
