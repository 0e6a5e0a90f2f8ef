from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from mmedge.errors import ConfigError, SourceError
from mmedge.manifest import Manifest
from mmedge.proof.data import Sample, Unread, read_samples
from mmedge.specs import Image, Text
from tests.fakes import SIDE, linear_bundle
from tests.proof.data.making import SIDES, wav
from tests.runtime.media import grey, write_media


def manifest_of(**modalities: Any) -> Manifest:
    """Three modalities of any kind in place of the fake model's; their graphs play no part."""
    manifest = linear_bundle(3, tasks={"side": SIDE}).manifest
    names = {"presence": tuple(modalities), "modalities": modalities}
    return manifest.model_copy(update=names)


SEEN_AND_HEARD = manifest_of(
    eye=Image(height=4, width=4),
    ant=SIDES.manifest.modalities["ant"],
    word=Text(max_tokens=4, tokenizer="words.json"),
)


def png(folder: Path, name: str, level: int = 9) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(grey(level, 4, 4)).save(folder / name)


def read(folder: Path, manifest: Manifest = SEEN_AND_HEARD, **options: Any) -> list[Any]:
    return list(read_samples(folder, manifest, **options))


def test_files_of_one_name_are_one_clip_and_their_folder_is_its_label(tmp_path: Path) -> None:
    png(tmp_path, "left/1.png")
    wav(tmp_path, "left/1.wav", 16384, 0)
    (tmp_path / "left" / "1.txt").write_text("an ant\n", encoding="utf-8")
    wav(tmp_path, "right/1.wav", 0, 16384)
    (tmp_path / "left" / ".DS_Store").write_bytes(b"\0")
    left, right = read(tmp_path)
    assert (left.labels, left.where) == ({"side": "left"}, str(tmp_path / "left" / "1"))
    assert left.raws["eye"].tolist() == grey(9, 4, 4).tolist()
    assert left.raws["ant"].tolist() == [0.5, 0]
    assert left.raws["word"] == "an ant"
    assert (list(right.raws), right.labels) == (["ant"], {"side": "right"})
    assert (left.group, right.group) == ("left/1.png", "right/1.wav")


def test_folders_say_which_of_two_modalities_of_a_kind_a_file_feeds(tmp_path: Path) -> None:
    wav(tmp_path, "left/ant/1.wav", 16384, 0)
    wav(tmp_path, "left/bee/1.wav", 0, 16384)
    (sample,) = read(tmp_path, SIDES.manifest)
    assert [sample.raws[name].tolist() for name in ("ant", "bee")] == [[0.5, 0], [0, 0.5]]


def test_a_video_feeds_what_sees_and_what_hears(tmp_path: Path) -> None:
    (tmp_path / "left").mkdir()
    pictures = [(time_ms, grey(60, 4, 4)) for time_ms in range(0, 200, 40)]
    write_media(
        tmp_path / "left" / "1.mkv", pictures, np.full(3200, 8192, np.int16), rate_hz=16_000
    )
    (sample,) = read(tmp_path)
    assert sample.raws["eye"].tolist() == grey(60, 4, 4).tolist()
    assert sample.raws["ant"].shape == (2,)


def test_a_file_of_two_possible_modalities_is_a_clip_that_cannot_be_read(tmp_path: Path) -> None:
    wav(tmp_path, "left/1.wav", 1, 2)
    (clip,) = read(tmp_path, SIDES.manifest)
    assert isinstance(clip, Unread)
    assert "could feed ant or bee; say which" in str(clip.error)


def test_two_files_for_one_modality_are_a_clip_that_cannot_be_read(tmp_path: Path) -> None:
    wav(tmp_path, "left/1.wav", 1, 2)
    wav(tmp_path, "left/ant/1.wav", 1, 2)
    (clip,) = read(tmp_path)
    assert isinstance(clip, Unread)
    assert "another file of its clip feeds 'ant' already" in str(clip.error)


@pytest.mark.parametrize("content", [b"\xff\xfe", b""])
def test_a_damaged_file_costs_its_clip_only(tmp_path: Path, content: bytes) -> None:
    for number in range(3):
        wav(tmp_path, f"left/{number}.wav", 1, 2)
    (tmp_path / "left" / "1.wav").write_bytes(content)
    clips = read(tmp_path)
    assert [type(each) for each in clips] == [Sample, Unread, Sample]
    assert isinstance(clips[1].error, SourceError)


def test_a_text_that_is_none_costs_its_clip(tmp_path: Path) -> None:
    (tmp_path / "left").mkdir()
    (tmp_path / "left" / "1.txt").write_bytes(b"\xff\xff")
    (clip,) = read(tmp_path)
    assert isinstance(clip, Unread)
    assert "is no text in UTF-8" in str(clip.error)


def test_a_folder_that_is_no_class_is_an_error_that_names_it(tmp_path: Path) -> None:
    wav(tmp_path, "lft/1.wav", 1, 2)
    with pytest.raises(
        ConfigError, match=r"folder 'lft' is named as none of the labels of 'side': left, right"
    ):
        read(tmp_path)


def test_a_folder_that_is_no_modality_is_an_error_that_names_it(tmp_path: Path) -> None:
    wav(tmp_path, "left/cow/1.wav", 1, 2)
    with pytest.raises(ConfigError, match=r"left/cow is named as none of the modalities eye, ant"):
        read(tmp_path)


def test_files_beside_the_folders_are_said_to_be_unused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wav(tmp_path, "left/1.wav", 1, 2)
    (tmp_path / "readme").write_text("mine")
    with caplog.at_level(logging.WARNING):
        assert len(read(tmp_path)) == 1
    assert "1 files lie beside the labels' folders, unused" in caplog.text


def test_an_empty_folder_says_what_it_could_hold(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no clip in .*a folder per label \(left, right\)"):
        read(tmp_path)


def test_a_model_of_another_task_needs_a_list(tmp_path: Path) -> None:
    wav(tmp_path, "left/1.wav", 1, 2)
    with pytest.raises(
        ConfigError, match=r"but the model has level \(regression\); list the clips"
    ):
        read(tmp_path, linear_bundle(1).manifest)


def test_a_folder_has_no_columns_to_split_by(tmp_path: Path) -> None:
    wav(tmp_path, "left/1.wav", 1, 2)
    with pytest.raises(ConfigError, match="no column 'speaker' to split by; its columns are none"):
        read(tmp_path, split_by="speaker")
