"""What goes into a gallery and what is asked of it, read from files, texts and clips."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from mmedge.bundle import Bundle
from mmedge.demo import run
from mmedge.errors import ConfigError, MmedgeError, SourceError
from mmedge.runtime.retrieval.items import read_items, read_query
from mmedge.specs import Modality, Signal

DATA = Path(run.__file__).parent / "data"
PICTURE, SOUND = DATA / "camera" / "000.png", DATA / "mic" / "000.wav"
CLIP = Path(run.__file__).parent / "clip.mkv"


@pytest.fixture
def modalities(demo: Bundle) -> dict[str, Modality]:
    return dict(demo.manifest.modalities)


def test_each_input_is_an_item_and_a_video_one_per_window_and_modality(
    modalities: dict[str, Modality],
) -> None:
    items = list(read_items(modalities, [str(PICTURE), f"mic={SOUND}", "hint=even", str(CLIP)]))
    still = [(item.name, list(item.inputs), item.end_ns) for item in items[:3]]
    assert still == [
        (str(PICTURE), ["camera"], 0),
        (str(SOUND), ["mic"], 1_000_000_000),
        ("even", ["hint"], 0),
    ]
    film = items[3:]
    assert {item.name for item in film} == {str(CLIP)}
    assert {name for item in film for name in item.inputs} == {"camera", "mic"}
    assert [item.end_ns for item in film if "mic" in item.inputs][:3] == [
        1_000_000_000,
        1_250_000_000,
        1_500_000_000,
    ]


def test_a_file_of_texts_is_an_item_a_line(modalities: dict[str, Modality], tmp_path: Path) -> None:
    (tmp_path / "hints.txt").write_text("even\n\n  has a loop \n", encoding="utf-8")
    items = list(read_items(modalities, texts=tmp_path / "hints.txt"))
    assert [(item.name, item.inputs) for item in items] == [
        ("even", {"hint": "even"}),
        ("has a loop", {"hint": "has a loop"}),
    ]


def test_a_line_of_clips_is_an_item_for_each_of_its_files(
    modalities: dict[str, Modality], tmp_path: Path
) -> None:
    line = {"camera": str(PICTURE), "mic": str(SOUND), "hint": "even", "labels": {"digit": "3"}}
    (tmp_path / "clips.jsonl").write_text(json.dumps(line), encoding="utf-8")
    items = list(read_items(modalities, clips=tmp_path / "clips.jsonl"))
    assert [(item.name, list(item.inputs)) for item in items] == [
        (str(PICTURE), ["camera"]),
        (str(SOUND), ["mic"]),
        ("even", ["hint"]),
    ]


def test_a_file_in_which_nothing_is_present_is_warned_of(
    modalities: dict[str, Modality], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = "".join(f"{time_s},1\n" for time_s in (0.0, 0.1, 0.9, 1.0))
    (tmp_path / "gap.csv").write_text(f"time_s,v\n{rows}", encoding="utf-8")
    imu = Signal(channels=1, rate_hz=10, window_ms=1_000, hop_ms=1_000)
    given = [f"imu={tmp_path / 'gap.csv'}"]
    with caplog.at_level(logging.WARNING):
        assert list(read_items({**modalities, "imu": imu}, given)) == []
    assert f"{tmp_path / 'gap.csv'}: nothing in it that the model" in caplog.text


def test_a_query_is_one_thing(modalities: dict[str, Modality]) -> None:
    (window,) = read_query(modalities, None, text="even")
    assert window == {"hint": "even"}
    (window,) = read_query(modalities, str(PICTURE))
    assert list(window) == ["camera"]
    assert len(read_query(modalities, f"camera={CLIP}")) > 10


@pytest.mark.parametrize(
    ("given", "text", "error", "words"),
    [
        (None, None, ConfigError, "give one query"),
        ("hint=even", "even", ConfigError, "give one query"),
        ("nowhere.png", None, SourceError, r"nowhere\.png"),
        ("nose=rose", None, ConfigError, "no modality 'nose'"),
    ],
)
def test_a_query_that_cannot_be_meant_is_refused(
    modalities: dict[str, Modality],
    given: str | None,
    text: str | None,
    error: type[MmedgeError],
    words: str,
) -> None:
    with pytest.raises(error, match=words):
        read_query(modalities, given, text=text)


def test_a_query_of_too_many_windows_is_refused(
    modalities: dict[str, Modality], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmedge.runtime.retrieval.items.MAX_WINDOWS", 10)
    with pytest.raises(ConfigError, match="more than 10 windows; ask with a shorter part"):
        read_query(modalities, f"camera={CLIP}")


def test_texts_that_cannot_be_read_are_refused(
    modalities: dict[str, Modality], tmp_path: Path
) -> None:
    (tmp_path / "x.txt").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "x.txt", tmp_path / "no.txt", tmp_path):
        with pytest.raises(SourceError, match="cannot be read as lines of UTF-8"):
            list(read_items(modalities, texts=path))
