"""Files walked window by window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soxr
from PIL import Image as Pillow

from mmedge.errors import ConfigError, ResourceError, SourceError
from mmedge.runtime.clips import read_sound
from mmedge.runtime.windows import tracks
from mmedge.runtime.windows.walk import WindowSample, iter_windows
from mmedge.specs import Image, Modality, Sound, Text
from tests.runtime.media import grey, ramp, steady, write_media, write_wav

MS = 1_000_000
MIC = Sound(rate_hz=16_000, window_ms=1000, hop_ms=250)
MODALITIES: dict[str, Modality] = {
    "camera": Image(height=8, width=8),
    "mic": MIC,
    "hint": Text(tokenizer="tokenizer.json", max_tokens=8),
    "film": Image(height=8, width=8, frames=3, stride_ms=100),
}


def level(sample: WindowSample, name: str = "camera") -> Any:
    """Grey of the picture, or of each picture of a clip; None where it is absent."""
    return sample.raw[name][..., 0, 0, 0].tolist() if name in sample.raw else None  # type: ignore[index,union-attr,call-overload]


def ends_ms(samples: list[WindowSample]) -> list[int]:
    return [sample.end_ns // MS for sample in samples]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """2 s of 25 pictures per second, as grey as their index, and as much sound."""
    return write_media(tmp_path / "a.mkv", steady(range(50)), ramp(32_000))


def test_picture_sound_and_text_go_in_step(film: Path) -> None:
    samples = list(iter_windows({"camera": film, "mic": film, "hint": "even"}, MODALITIES))
    assert ends_ms(samples) == [1000, 1250, 1500, 1750, 2000]
    assert [level(sample) for sample in samples] == [24, 31, 37, 43, 49]
    assert {sample.raw["hint"] for sample in samples} == {"even"}
    whole = ramp(32_000).astype(np.float32) / 32768
    for sample in samples:
        last = sample.end_ns * 16_000 // 10**9
        assert np.array_equal(sample.raw["mic"], whole[last - 16_000 : last])


def test_the_same_files_always_give_the_same_windows(film: Path) -> None:
    sources = {"camera": film, "mic": film}
    first, second = (list(iter_windows(sources, MODALITIES)) for _ in range(2))
    for one, two in zip(first, second, strict=True):
        assert one.end_ns == two.end_ns
        assert all(np.array_equal(one.raw[name], two.raw[name]) for name in sources)


def test_sound_is_resampled_as_a_whole_before_it_is_cut(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(-9999, 9999, (2, 88_200)).astype(np.int16)
    path = write_wav(tmp_path / "a.wav", noise, 44_100)
    spec = MIC.model_copy(update={"downmix": "mean"})
    pcm = read_sound(path).samples.mean(axis=0, dtype=np.float32)
    whole = soxr.resample(pcm, 44_100, 16_000, quality="HQ")
    samples = list(iter_windows({"mic": path}, {"mic": spec}))
    assert ends_ms(samples) == [1000, 1250, 1500, 1750, 2000]
    assert np.array_equal(samples[3].raw["mic"], whole[12_000:28_000])


def test_a_sound_shorter_than_a_window_gives_one(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", np.full(3000, 16_384, np.int16), 16_000)
    (sample,) = iter_windows({"mic": path}, MODALITIES)
    assert sample.end_ns == 1000 * MS
    assert np.array_equal(sample.raw["mic"], [0.5] * 3000 + [0.0] * 13_000)


def test_without_sound_the_hop_is_what_is_asked_for(film: Path) -> None:
    samples = list(iter_windows({"camera": film}, MODALITIES, every_ms=600))
    assert ends_ms(samples) == [600, 1200, 1800]
    assert [level(sample) for sample in samples] == [14, 29, 44]


@pytest.mark.parametrize(
    ("ending", "codec", "pix_fmt"), [("mkv", "ffv1", "bgr0"), ("mp4", "mpeg4", "yuv420p")]
)
def test_rounded_time_stamps_do_not_cost_the_last_window(
    ending: str, codec: str, pix_fmt: str, tmp_path: Path
) -> None:
    pictures = [(round(index * 1000 / 30), grey(index)) for index in range(60)]
    path = tmp_path / f"a.{ending}"
    write_media(path, pictures, codecs=(codec, "flac"), pix_fmt=pix_fmt, fps=30)
    assert ends_ms(list(iter_windows({"camera": path}, MODALITIES, every_ms=500)))[-1] == 2000


def test_still_pictures_and_texts_alone_give_one_sample(tmp_path: Path) -> None:
    Pillow.fromarray(grey(7)).save(tmp_path / "a.png")
    (sample,) = iter_windows({"camera": tmp_path / "a.png", "hint": "even"}, MODALITIES)
    assert (sample.end_ns, level(sample), sample.raw["hint"]) == (0, 7, "even")


def test_a_still_picture_stays_along_the_sound(tmp_path: Path) -> None:
    Pillow.fromarray(grey(7)).save(tmp_path / "a.png")
    sound = write_wav(tmp_path / "a.wav", ramp(20_000), 16_000)
    samples = list(iter_windows({"camera": str(tmp_path / "a.png"), "mic": sound}, MODALITIES))
    assert [level(sample) for sample in samples] == [7, 7]


def test_a_picture_too_old_is_absent(tmp_path: Path) -> None:
    sound = write_wav(tmp_path / "a.wav", ramp(40_000), 16_000)
    video = write_media(tmp_path / "a.mkv", steady([1, 2, 3]))
    sources = {"camera": video, "mic": sound}
    assert [level(s) for s in iter_windows(sources, MODALITIES)] == [3] + [None] * 6
    older = iter_windows(sources, MODALITIES, max_age_ms=1700)
    assert [level(s) for s in older] == [3, 3, 3, 3, None, None, None]


def test_a_sound_that_ended_is_absent_and_the_video_goes_on(tmp_path: Path) -> None:
    sound = write_wav(tmp_path / "a.wav", np.full(20_000, 16_384, np.int16), 16_000)
    video = write_media(tmp_path / "a.mkv", steady(range(75)))
    samples = list(iter_windows({"camera": video, "mic": sound}, MODALITIES))
    assert ends_ms(samples) == [1000, 1250, 1500, 1750, 2000, 2250, 2500, 2750, 3000]
    # At least half of a window must have been recorded; what is missing is silence.
    assert ["mic" in sample.raw for sample in samples] == [True] * 4 + [False] * 5
    heard: npt.NDArray[np.float32] = samples[3].raw["mic"]  # type: ignore[assignment]
    assert (heard == 0.5).sum() == 8000


def test_sound_keeps_its_place_behind_a_hole_and_a_late_beginning(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    write_media(
        path,
        steady([0] * 100),
        ramp(56_000),
        codecs=("ffv1", "pcm_s16le"),
        sound_holes=[(16_000, 40_000)],
        sound_start=8000,
    )
    samples = list(iter_windows({"camera": path, "mic": path}, MODALITIES))
    there = {s.end_ns // MS: s.raw["mic"] for s in samples if "mic" in s.raw}
    assert list(there) == [1000, 1250, 1500, 1750, 2000, 3500, 3750, 4000]
    whole = np.zeros(64_000, np.float32)
    whole[8000:24_000] = ramp(56_000)[:16_000] / 32768
    whole[48_000:] = ramp(56_000)[40_000:] / 32768
    for end_ms, heard in there.items():
        assert np.array_equal(heard, whole[end_ms * 16 - 16_000 : end_ms * 16])


def test_clips_of_pictures_begin_when_there_are_enough(film: Path) -> None:
    samples = list(iter_windows({"film": film}, MODALITIES, every_ms=100))
    assert ends_ms(samples)[:2] == [300, 400]
    assert level(samples[0], "film") == [2, 4, 7]
    assert level(samples[-1], "film") == [44, 47, 49]


def test_a_video_is_never_held_as_a_whole(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture_bytes = 48 * 64 * 3
    monkeypatch.setattr(tracks, "_MAX_KEPT_BYTES", 3 * picture_bytes)
    assert len(list(iter_windows({"camera": film}, MODALITIES, every_ms=1000))) == 2
    with pytest.raises(ResourceError, match="needs more than 1 GiB"):
        list(iter_windows({"film": film}, MODALITIES))


def test_a_clip_can_be_given_as_pictures(tmp_path: Path) -> None:
    paths = tuple(tmp_path / f"{index}.png" for index in range(3))
    for index, path in enumerate(paths):
        Pillow.fromarray(grey(index)).save(path)
    (sample,) = iter_windows({"film": paths}, MODALITIES)
    assert level(sample, "film") == [0, 1, 2]


@pytest.mark.parametrize(
    ("sources", "complaint"),
    [
        ({}, "no source is given"),
        ({"lidar": Path("a")}, "'lidar' is not a modality of this model"),
        ({"hint": Path("a.txt")}, "takes a text, but got"),
        ({"hint": " "}, "leave it out"),
        ({"mic": 3}, "takes the path of a file, but got 3"),
        ({"mic": (Path("a"), Path("b"))}, "takes the path of a file"),
        ({"camera": (Path("a"),)}, "takes one picture"),
        ({"film": (Path("a"),)}, "takes 3 pictures"),
    ],
)
def test_a_source_of_the_wrong_type_is_refused_at_once(sources: Any, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        iter_windows(sources, MODALITIES)


@pytest.mark.parametrize("option", ["every_ms", "max_age_ms"])
def test_a_time_that_is_not_positive_is_refused(option: str) -> None:
    with pytest.raises(ConfigError, match=f"{option}=0"):
        iter_windows({"hint": "even"}, MODALITIES, **{option: 0})  # type: ignore[arg-type]


def test_a_file_of_another_kind_is_refused(tmp_path: Path, film: Path) -> None:
    sound = write_wav(tmp_path / "a.wav", ramp(1000), 16_000)
    Pillow.fromarray(grey(7)).save(tmp_path / "a.png")
    for sources, complaint in (
        ({"camera": sound}, "takes a picture or a video, but .* kind 'sound'"),
        ({"film": tmp_path / "a.png"}, "takes a video, but .* kind 'image'"),
        ({"mic": write_media(tmp_path / "mute.mkv", steady([1, 2]))}, "has no sound"),
        ({"camera": film, "mic": tmp_path / "nope.wav"}, "No such file"),
    ):
        with pytest.raises(SourceError, match=complaint):
            list(iter_windows(sources, MODALITIES))


def test_stereo_is_refused_where_mono_is_wanted(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", np.zeros((2, 16_000), np.int16), 16_000)
    with pytest.raises(ConfigError, match="downmix='mean'"):
        list(iter_windows({"mic": path}, MODALITIES))
