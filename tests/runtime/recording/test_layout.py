from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmedge.errors import ArtefactError, IncompatibleError
from mmedge.runtime.recording import parse_header
from mmedge.runtime.recording.layout import Part, Track
from tests.runtime.recording.make import SPECS, header

PART = Part(media="camera-0.mkv", times="camera-0.times", height=2, width=2)


def fields() -> dict[str, Any]:
    track = Track(kind="image", parts=(PART,), samples=1)
    told: dict[str, Any] = json.loads(header(SPECS, tracks={"camera": track}).model_dump_json())
    return told


def parse(folder: Path, told: object) -> Any:
    (folder / "recording.json").write_text(json.dumps(told))
    return parse_header(folder)


def test_a_header_comes_back(tmp_path: Path) -> None:
    found = parse(tmp_path, fields())
    assert found.tracks["camera"].parts == (PART,)
    assert found.modalities == SPECS
    assert list(found.modalities) == ["camera", "mic", "motion"]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../camera-0.mkv",
        "camera-0.mkv/x",
        "..",
        "",
        "camera-0.mkv\n",
        "log.jsonl",
        "a\0-0.mkv",
    ],
)
@pytest.mark.parametrize("which", ["media", "times"])
def test_a_name_leads_nowhere_else(tmp_path: Path, path: str, which: str) -> None:
    told = fields()
    told["tracks"]["camera"]["parts"][0][which] = path
    with pytest.raises(ArtefactError, match="is not the header of a recording"):
        parse(tmp_path, told)


@pytest.mark.parametrize(
    "change",
    [
        {"width": 65_536},
        {"width": -1},
        {"height": 65_535, "width": 65_535},
        {"height": 0},
        {"width": "2"},
        {"width": 2.5},
        {"width": 10**40},
        {"order": "gray"},
        {"strange": 1},
    ],
)
def test_a_part_that_cannot_be_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    told = fields()
    told["tracks"]["camera"]["parts"][0].update(change)
    with pytest.raises(ArtefactError):
        parse(tmp_path, told)


@pytest.mark.parametrize(
    "change",
    [
        {"bundle": "x"},
        {"begun_ns": 2**63},
        {"begun_ns": "5"},
        {"live": []},
        {"modalities": {}},
        {"modalities": {"../x": {}}},
        {"tracks": []},
        {"tracks": {"camera": {"kind": "sound"}}},
        {"tracks": {"fly": {"kind": "image"}}},
        {"tracks": {"camera": {"kind": "image", "samples": -1}}},
        {"complete": "yes"},
        {"strange": 1},
    ],
    ids=str,
)
def test_a_header_that_breaks_a_rule_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ArtefactError, match="is not the header of a recording"):
        parse(tmp_path, {**fields(), **change})


@pytest.mark.parametrize("text", ["", "[]", "5", "null", "{", "[" * 100_000, "\xff", "{}"])
def test_what_is_no_header_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "recording.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ArtefactError, match="is not the header of a recording"):
        parse_header(tmp_path)


def test_a_header_of_any_size_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "recording.json").open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(ArtefactError, match="is larger than"):
        parse_header(tmp_path)


def test_a_newer_version_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match=r"version 2.*Upgrade mmedge"):
        parse(tmp_path, {**fields(), "mmedge_recording": 2})
