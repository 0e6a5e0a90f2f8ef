"""Lists of clips: every line is right, or is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from mmedge.errors import ArtefactError, SourceError
from mmedge.runtime.clips import Clip, read_clips
from mmedge.runtime.preprocess import Pcm
from mmedge.specs import Image, Modality, Sound, Text
from tests.runtime.media import grey, ramp, write_wav

MODALITIES: dict[str, Modality] = {
    "camera": Image(height=8, width=8),
    "mic": Sound(rate_hz=8000, window_ms=1000, hop_ms=250),
    "hint": Text(tokenizer="tokenizer.json", max_tokens=8),
}
FILM: dict[str, Modality] = {"film": Image(height=8, width=8, frames=2)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for level in (1, 2):
        Pillow.fromarray(grey(level)).save(tmp_path / f"{level}.png")
    (tmp_path / "sub").mkdir()
    write_wav(tmp_path / "sub" / "a.wav", ramp(4000), 8000)
    return tmp_path


def read(folder: Path, content: Any, modalities: dict[str, Modality] | None = None) -> list[Clip]:
    path = folder / "clips.jsonl"
    if not isinstance(content, bytes):
        content = content if isinstance(content, str) else json.dumps(content)
        content = content.encode()
    path.write_bytes(content)
    return list(read_clips(path, modalities or MODALITIES))


def test_a_line_becomes_raw_samples_labels_and_the_rest(folder: Path) -> None:
    row = {
        "camera": "1.png",
        "mic": "sub/a.wav",
        "hint": "even",
        "labels": {"digit": "4", "tilt": 0.5},
        "speaker": "theo",
        "session": 3,
    }
    (clip,) = read(folder, row)
    raw = clip.load()
    assert np.array_equal(raw["camera"], grey(1))
    assert isinstance(raw["mic"], Pcm)
    assert (raw["mic"].samples.shape, raw["mic"].rate_hz) == ((1, 4000), 8000)
    assert raw["hint"] == "even"
    assert clip.labels == {"digit": "4", "tilt": 0.5}
    assert clip.extra == {"speaker": "theo", "session": 3}


def test_a_modality_that_is_left_out_or_null_is_absent(folder: Path) -> None:
    first, second = read(folder, '{"camera": "1.png"}\n\n{"hint": "even", "mic": null}\n')
    assert list(first.load()) == ["camera"]
    assert list(second.load()) == ["hint"]
    assert first.labels == {}
    assert second.where.endswith("clips.jsonl, line 3")


def test_nothing_is_decoded_before_it_is_asked_for(folder: Path) -> None:
    (folder / "1.png").write_text("no picture")
    (clip,) = read(folder, {"camera": "1.png"})
    with pytest.raises(SourceError, match="cannot be opened as a picture"):
        clip.load()


def test_a_clip_of_pictures_is_a_list_of_files(folder: Path) -> None:
    (clip,) = read(folder, {"film": ["1.png", "2.png"]}, FILM)
    raw = clip.load()["film"]
    assert isinstance(raw, np.ndarray)
    assert raw[:, 0, 0, 0].tolist() == [1, 2]


def test_a_byte_order_mark_is_no_letter(folder: Path) -> None:
    assert len(read(folder, b'\xef\xbb\xbf{"hint": "even"}\r\n{"hint": "odd"}\r\n')) == 2


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{'camera': '1.png'}", "not JSON"),
        ('{"camera": "1.png"', "not JSON"),
        (b'{"hint": "\xff"}', "not JSON .*utf-8"),
        ("[" * 100_000, "not JSON"),
        ('{"labels": {"tilt": NaN}, "hint": "a"}', "NaN is not a finite number"),
        ('{"labels": {"tilt": -Infinity}, "hint": "a"}', "-Infinity is not a finite number"),
        ('{"labels": {"tilt": 1e999}, "hint": "a"}', "1e999 is not a finite number"),
        ('{"hint": "a", "hint": "b"}', "a name occurs twice"),
        ('["1.png"]', "a list, not an object"),
        ('"1.png"', "a str, not an object"),
        ("null", "a NoneType, not an object"),
        ("{}", "none of the modalities"),
        ('{"speaker": "theo"}', r"none of the modalities .* other columns are \['speaker'\]"),
        ('{"hint": "a", "labels": "4"}', "'labels' is '4'"),
        ('{"hint": "a", "labels": null}', "'labels' is None"),
        ('{"hint": "a", "camrea": "1.png"}', "no such modality"),
        ('{"camera": 3}', "'camera' is 3; give the path"),
        ('{"camera": ""}', "'camera' is ''"),
        ('{"camera": ["1.png"]}', "give the path of a file"),
        ('{"camera": "nope.png"}', "'camera': cannot read .*nope.png"),
        ('{"camera": "a\\u0000b"}', "'camera': cannot read"),
        ('{"camera": "sub"}', "'camera': .* is a folder"),
        ('{"hint": 3}', "'hint' is 3; give a text"),
        ('{"hint": " "}', "leave it out if there is none"),
    ],
)
def test_a_line_that_is_wrong_is_named(folder: Path, line: str | bytes, complaint: str) -> None:
    line = line if isinstance(line, bytes) else line.encode()
    with pytest.raises(ArtefactError, match=rf"clips\.jsonl, line 2: .*{complaint}"):
        read(folder, b'{"hint": "a"}\n' + line)


@pytest.mark.parametrize("film", ["1.png", ["1.png"], ["1.png", 3], ["1.png", "nope.png"]])
def test_a_clip_of_pictures_must_have_them_all(folder: Path, film: Any) -> None:
    with pytest.raises(ArtefactError, match="line 1: 'film'"):
        read(folder, {"film": film}, FILM)


def test_a_list_that_is_missing_is_a_source_error(folder: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        list(read_clips(folder / "nope.jsonl", MODALITIES))
