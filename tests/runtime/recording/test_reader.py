from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from mmedge.errors import ArtefactError, ConfigError, SourceError
from mmedge.runtime.recording import Recording, open_recording
from mmedge.runtime.recording.layout import EncodingRow, TickRow
from mmedge.runtime.samples import Block
from tests.runtime.media import write_media
from tests.runtime.recording.make import BEGUN_NS, block, picture, same, write


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of 6 pictures and 40 blocks."""
    return write(
        tmp_path_factory.mktemp("whole") / "a.recording",
        {"camera": map(picture, range(6)), "mic": map(block, range(40))},
    )


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "a.recording"))


def change(folder: Path, old: str, new: str) -> Recording:
    file = folder / "recording.json"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    return open_recording(folder)


@pytest.mark.parametrize("name", ["camera", "mic"])
def test_a_file_cut_off_at_any_byte_can_be_read_up_to_there(copy: Path, name: str) -> None:
    recording = change(copy, '"complete":true', '"complete":false')
    came = list(recording.samples(name))
    media, times = copy / f"{name}-0.mkv", copy / f"{name}-0.times"
    data, rows = media.read_bytes(), times.read_bytes()
    lengths = []
    for stop in [*range(0, len(data), max(len(data) // 150, 1)), len(data)]:
        media.write_bytes(data[:stop])
        found = list(recording.samples(name))
        assert all(map(same, found, came))
        lengths.append(len(found))
    assert lengths == sorted(lengths)
    assert (lengths[0], lengths[-1]) == (0, len(came))
    for stop in range(0, len(rows), 5):
        times.write_bytes(rows[:stop])
        found = list(recording.samples(name))
        assert len(found) == stop // (len(rows) // len(came))


def test_what_ended_in_order_may_not_be_cut_off(copy: Path) -> None:
    media = copy / "camera-0.mkv"
    data = bytearray(media.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    media.write_bytes(data)
    with pytest.raises(SourceError, match=r"camera-0\.mkv is damaged"):
        list(open_recording(copy).samples("camera"))


def test_a_byte_that_differs_is_never_another_sound(copy: Path) -> None:
    recording = open_recording(copy)
    came = list(recording.samples("mic"))
    media = copy / "mic-0.mkv"
    whole = media.read_bytes()
    refused = 0
    for at in range(1_000, len(whole), len(whole) // 60):
        media.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            assert all(map(same, recording.samples("mic"), came))
        except (SourceError, ArtefactError):
            refused += 1
    assert refused > 30


@pytest.mark.parametrize("name", ["camera-0.mkv", "camera-0.times", "log.jsonl"])
def test_a_missing_file_is_said(copy: Path, name: str) -> None:
    (copy / name).unlink()
    recording = open_recording(copy)
    with pytest.raises(SourceError, match=f"{name} is missing"):
        list(recording.log() if name == "log.jsonl" else recording.samples("camera"))


@pytest.mark.parametrize("name", ["camera-0.mkv", "camera-0.times", "log.jsonl"])
def test_a_link_out_of_the_recording_is_not_followed(copy: Path, name: str) -> None:
    recording = open_recording(copy)
    (copy / name).rename(copy.parent / name)
    (copy / name).symlink_to(copy.parent / name)
    with pytest.raises(ArtefactError, match="is a link"):
        list(recording.log() if name == "log.jsonl" else recording.samples("camera"))


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_a_pipe_in_place_of_a_file_does_not_hang(copy: Path) -> None:
    for name in ("camera-0.mkv", "log.jsonl"):
        (copy / name).unlink()
        os.mkfifo(copy / name)
    recording = open_recording(copy)
    with pytest.raises(SourceError, match="is missing"):
        list(recording.samples("camera"))
    with pytest.raises(SourceError, match="is missing"):
        list(recording.log())


def test_pictures_that_are_not_what_the_header_says_are_refused(copy: Path) -> None:
    recording = change(copy, '"width":47', '"width":48')
    with pytest.raises(ArtefactError, match="a picture is 47x33, and the header says 48x33"):
        list(recording.samples("camera"))


@pytest.mark.parametrize(("old", "new"), [('"channels":1}', '"channels":2}'), ("48000", "44100")])
def test_sound_that_is_not_what_the_header_says_is_refused(copy: Path, old: str, new: str) -> None:
    with pytest.raises(ArtefactError, match="and the header says"):
        list(change(copy, old, new).samples("mic"))


def test_only_the_codecs_of_recordings_are_decoded(copy: Path) -> None:
    write_media(
        copy / "camera-0.mkv",
        [(0, picture(0, height=48, width=64).pixels)],
        codecs=("mpeg4", "flac"),
        pix_fmt="yuv420p",
    )
    with pytest.raises(ArtefactError, match="holds mpeg4, and not one ffv1 stream"):
        list(open_recording(copy).samples("camera"))


def test_a_playlist_that_names_other_files_is_not_followed(copy: Path) -> None:
    (copy / "mic-0.mkv").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n")
    with pytest.raises(SourceError, match=r"mic-0\.mkv is damaged"):
        list(open_recording(copy).samples("mic"))


@pytest.mark.parametrize(
    "row",
    [(1, 0, 2**62, BEGUN_NS), (1, 0, -5, BEGUN_NS), (1, 0, 0, BEGUN_NS), (-1, 0, 4, BEGUN_NS)],
    ids=["huge", "negative", "none", "run"],
)
def test_impossible_blocks_are_refused(copy: Path, row: tuple[int, ...]) -> None:
    (copy / "mic-0.times").write_bytes(np.array(row, "<i8").tobytes())
    with pytest.raises(ArtefactError, match="is no block of sound"):
        list(open_recording(copy).samples("mic"))


@pytest.mark.parametrize("time_ns", [-(2**63), 2**63 - 1, BEGUN_NS + 400 * 86_400 * 10**9])
def test_capture_times_beyond_the_recording_are_refused(copy: Path, time_ns: int) -> None:
    (copy / "camera-0.times").write_bytes(np.array([time_ns], "<i8").tobytes())
    with pytest.raises(ArtefactError, match="lies outside the recording"):
        list(open_recording(copy).samples("camera"))


ENCODING = '{"what":"encoding","modality":"mic","number":0,"place":[1,2,3],"reset":"","skipped":0}'
TICK = (
    '{"what":"tick","uses":{"mic":0},"utc_ns":5,"decision":'
    '{"time_ns":1,"bundle":"b","absent":{},"more":1}}'
)


def test_the_log_comes_back_and_a_line_that_was_cut_off_does_not(copy: Path) -> None:
    (copy / "log.jsonl").write_text(f"{ENCODING}\n{TICK}\n{TICK[:40]}")
    first, second = open_recording(copy).log()
    assert isinstance(first, EncodingRow)
    assert first.place == (1, 2, 3)
    assert isinstance(second, TickRow)
    assert (second.uses, second.decision.time_ns) == ({"mic": 0}, 1)


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "nonsense",
        '"' + "[" * 5_000,
        "[" * 100_000,
        ENCODING.replace("encoding", "other"),
        ENCODING.replace("[1,2,3]", '["1"]'),
        ENCODING.replace("[1,2,3]", "[]"),
        ENCODING.replace("[1,2,3]", f"[{10**30}]"),
        ENCODING.replace("mic", "../mic"),
        ENCODING.replace('"number":0', '"number":-1'),
        ENCODING.replace('"number":0', '"number":1e400'),
        TICK.replace('"utc_ns":5', '"utc_ns":"5"'),
        TICK.replace('"absent":{}', '"absent":{"mic":5}'),
        TICK.replace('"time_ns":1', '"time_ns":NaN'),
    ],
)
def test_a_line_of_the_log_that_breaks_a_rule_is_refused(copy: Path, line: str) -> None:
    (copy / "log.jsonl").write_text(line + "\n")
    with pytest.raises(ArtefactError, match=r"log\.jsonl: a line breaks a rule"):
        list(open_recording(copy).log())


def test_a_line_without_an_end_is_not_read_into_memory(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmedge.runtime.recording.reader._MAX_LINE_CHARS", 1000)
    (copy / "log.jsonl").write_text("x" * 5_000)
    with pytest.raises(ArtefactError, match="a line is longer than 1000 bytes"):
        list(open_recording(copy).log())


@pytest.mark.parametrize("block_ms", [1, 10, 13, 64, 10_000])
def test_sound_may_be_cut_into_other_blocks(whole: Path, block_ms: int) -> None:
    recording = open_recording(whole)
    came = [each for each in recording.samples("mic") if isinstance(each, Block)]
    found = [
        each for each in recording.samples("mic", block_ms=block_ms) if isinstance(each, Block)
    ]
    assert np.array_equal(
        np.concatenate([each.samples for each in found]),
        np.concatenate([each.samples for each in came]),
    )
    assert {len(each.samples) for each in found[:-1]} <= {48 * block_ms}
    own = [((each.index, each.time_ns),) for each in found]
    several = (each.anchors for each in found)
    anchors = [
        a
        for told, alone in zip(several, own, strict=True)
        for a in (alone if told is None else told)
    ]
    assert anchors == [(each.index, each.time_ns) for each in came]


def test_blocks_of_two_runs_are_never_joined(tmp_path: Path) -> None:
    came = [block(0), block(1), block(0, run=2), block(1, run=2)]
    recording = open_recording(write(tmp_path / "a.recording", {"mic": came}))
    found = [each for each in recording.samples("mic", block_ms=15) if isinstance(each, Block)]
    assert [(each.run, each.index, len(each.samples)) for each in found] == [
        (1, 0, 720),
        (1, 720, 240),
        (2, 0, 720),
        (2, 720, 240),
    ]


def test_nothing_there_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Make one with: mmedge serve --record"):
        open_recording(tmp_path / "none.recording")
    with pytest.raises(ArtefactError, match=r"it has no recording\.json"):
        open_recording(tmp_path)


def test_a_modality_that_was_absent_gives_nothing(whole: Path) -> None:
    assert list(open_recording(whole).samples("hint")) == []
