from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.errors import ArtefactError, ConfigError, SourceError
from mmedge.manifest import Manifest
from mmedge.proof.data import Sample, Unread, read_samples
from mmedge.proof.data.recordings import MAX_STEPS
from mmedge.proof.data.spans import LABELS
from mmedge.runtime.rings import make_ring
from mmedge.runtime.samples import Reading
from mmedge.specs import Classification
from tests.fakes import linear_bundle
from tests.runtime.recording.make import BEGUN_NS, MS, SPECS, block, picture, write

DIGIT = Classification(labels=("one", "two"))
FIVE = 500  # blocks of 10 ms


def manifest_of(**changes: Any) -> Manifest:
    told = {"modalities": SPECS, "presence": tuple(SPECS), "tasks": {"digit": DIGIT}}
    return linear_bundle(1).manifest.model_copy(update={**told, **changes})


def label(folder: Path, *rows: Mapping[str, Any]) -> None:
    (folder / LABELS).write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def read(folder: Path, manifest: Manifest | None = None, **options: Any) -> list[Any]:
    return list(read_samples(folder, manifest or manifest_of(), **options))


def heard(folder: Path, count: int = FIVE) -> Path:
    return write(folder, {"mic": [block(index) for index in range(count)]})


def second_of(sample: Sample) -> float:
    return float(sample.where.split(" at ")[1].removesuffix(" s"))


def test_windows_are_those_that_are_cut_live(tmp_path: Path) -> None:
    ring = make_ring("mic", SPECS["mic"], every=True)
    live = []
    for index in range(FIVE):
        ring.push(block(index))
        while (window := ring.take()) is not None:
            live.append(window.raw)
    samples = read(heard(tmp_path / "a.recording"))
    assert len(samples) == len(live) == 19  # ends at 0.25, 0.5, ... 4.75 s
    assert all(
        np.array_equal(sample.raws["mic"], raw) for sample, raw in zip(samples, live, strict=True)
    )
    assert [second_of(each) for each in samples[:3]] == [0, 0.25, 0.5]
    assert {each.group for each in samples} == {"a.recording"}
    assert all(each.labels == {} for each in samples)


def test_a_picture_goes_with_the_sound_that_was_heard_when_it_was_seen(tmp_path: Path) -> None:
    pictures = [picture(index) for index in range(26)]  # the last at 1.0 s
    folder = write(
        tmp_path / "a.recording",
        {"camera": pictures, "mic": [block(index) for index in range(FIVE)]},
    )
    samples = read(folder)
    # At 0.5 s the newest picture is that of 0.48 s; the last one is too old from 1.75 s on.
    assert np.array_equal(samples[1].raws["camera"].pixels, picture(12).pixels)
    assert [sorted(each.raws) for each in samples[:7]] == [["camera", "mic"]] * 6 + [["mic"]]


def test_pictures_alone_are_taken_four_times_a_second(tmp_path: Path) -> None:
    folder = write(tmp_path / "a.recording", {"camera": [picture(index) for index in range(26)]})
    samples = read(folder)
    assert [second_of(each) for each in samples] == [0, 0.28, 0.56, 0.84]
    assert np.array_equal(samples[1].raws["camera"].pixels, picture(7).pixels)


def test_labels_hold_in_the_middle_of_a_window_and_nothing_else_is_taken(tmp_path: Path) -> None:
    folder = heard(tmp_path / "a.recording")
    label(
        folder,
        {"begin_ms": 200, "end_ms": 600, "labels": {"digit": "one"}, "speaker": "ann"},
        {"begin_ms": 1000, "end_ms": 1250.5, "labels": {"digit": "two"}, "speaker": "bob"},
        {"begin_ms": 1250.5, "end_ms": 1600, "speaker": "bob"},
    )
    samples = read(folder)
    assert [(second_of(s), s.labels.get("digit"), s.group) for s in samples] == [
        (0.25, "one", "ann"),
        (0.5, "one", "ann"),
        (1.0, "two", "bob"),
        (1.25, "two", "bob"),
        (1.5, None, "bob"),
    ]
    assert samples[0].columns == {"speaker": "ann"}


REMEMBERING = {"states": {"motion": ()}}


def moved(count: int, gap: range = range(0)) -> Iterable[Reading]:
    for index in range(count):
        if index not in gap:
            values = np.array([index, 0.0])
            yield Reading(BEGUN_NS + index * 10 * MS, values)


def firsts(sample: Sample) -> list[int]:
    """The number of the reading that each window begins with, the answered one last."""
    windows: list[Any] = [*sample.before.get("motion", ()), sample.raws["motion"]]
    return [round(float(window[0, 0])) for window in windows]


def test_an_encoder_that_remembers_gets_the_windows_before(tmp_path: Path) -> None:
    """Windows of 10 readings; the first ends at 0.1 s."""
    folder = write(tmp_path / "a.recording", {"motion": moved(1000)})
    one, two = read(folder, manifest_of(**REMEMBERING))
    assert firsts(one) == list(range(0, 10 * MAX_STEPS, 10))
    assert firsts(two) == list(range(400, 1000, 10))
    assert len(firsts(two)) == MAX_STEPS


def test_where_labels_change_an_encoder_that_remembers_is_asked(tmp_path: Path) -> None:
    folder = write(tmp_path / "a.recording", {"motion": moved(60)})
    label(
        folder,
        {"begin_ms": 0, "end_ms": 200, "labels": {"digit": "one"}},
        {"begin_ms": 300, "end_ms": 500, "labels": {"digit": "two"}},
    )
    one, two = read(folder, manifest_of(**REMEMBERING))
    assert (one.labels, firsts(one)) == ({"digit": "one"}, [0, 10])
    assert (two.labels, firsts(two)) == ({"digit": "two"}, [0, 10, 20, 30, 40])


def test_a_state_reaches_not_over_a_gap(tmp_path: Path) -> None:
    folder = write(tmp_path / "a.recording", {"motion": moved(100, range(42, 68))})
    (sample,) = read(folder, manifest_of(**REMEMBERING))
    assert firsts(sample) == [70, 80, 90]


def test_a_folder_of_recordings_is_a_group_for_each(tmp_path: Path) -> None:
    for name in "abc":
        heard(tmp_path / f"{name}.recording", 100)
    assert {each.group for each in read(tmp_path)} == {"a.recording", "b.recording", "c.recording"}


def test_a_damaged_recording_is_said_and_the_others_are_read(tmp_path: Path) -> None:
    (heard(tmp_path / "a.recording", 100) / "mic-0.mkv").unlink()
    heard(tmp_path / "b.recording", 100)
    first, *others = read(tmp_path)
    assert isinstance(first, Unread)
    assert isinstance(first.error, SourceError)
    assert {each.group for each in others} == {"b.recording"}


def test_a_recording_of_other_modalities_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds the sound modality 'mic', which the bundle does"):
        read(heard(tmp_path / "a.recording", 10), linear_bundle(1).manifest)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"begin_ms": 0}], "line 1: begin_ms=0, end_ms=None"),
        ([{"begin_ms": 5, "end_ms": 5}], "line 1: begin_ms=5, end_ms=5"),
        ([{"begin_ms": True, "end_ms": 5}], "line 1: begin_ms=True"),
        (
            [{"begin_ms": 0, "end_ms": 9}, {"begin_ms": 8, "end_ms": 19}],
            "line 2: it begins before the one before it has ended",
        ),
        (
            [{"begin_ms": 0, "end_ms": 9, "labels": {"digit": "ten"}}],
            "line 1: label 'ten' of task 'digit' is none of one, two",
        ),
        ([{"begin_ms": 0, "end_ms": 9, "labels": {"up": "one"}}], "line 1: a label for 'up'"),
    ],
)
def test_labels_that_are_none_are_refused_by_their_line(
    tmp_path: Path, rows: list[dict[str, Any]], told: str
) -> None:
    folder = heard(tmp_path / "a.recording", 10)
    label(folder, *rows)
    with pytest.raises(ArtefactError, match=told):
        read(folder)
