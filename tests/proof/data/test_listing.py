from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.errors import ArtefactError, ConfigError, SourceError
from mmedge.proof.data import Sample, Unread, read_samples
from tests.proof.data.making import SIDES, clip_list, prepared, wav
from tests.remembering import remembering_bundle


def read(path: Path, **options: Any) -> list[Sample | Unread]:
    return list(read_samples(path, SIDES.manifest, **options))


def good(path: Path, **options: Any) -> list[Sample]:
    samples = read(path, **options)
    assert all(isinstance(each, Sample) for each in samples)
    return samples  # type: ignore[return-value]


def test_a_line_becomes_a_sample_with_labels_and_columns(tmp_path: Path) -> None:
    row = {"ant": wav(tmp_path, "a.wav", 16384, -16384), "labels": {"side": "left"}}
    extra = {"speaker": "ann", "age": 30, "note": None}
    (sample,) = good(clip_list(tmp_path, [{**row, **extra}]))
    assert sample.raws["ant"].tolist() == [0.5, -0.5]
    assert sample.labels == {"side": "left"}
    assert sample.columns == {"speaker": "ann", "age": "30"}
    assert sample.group == "ann"
    assert sample.where == f"{tmp_path / 'clips.jsonl'}, line 1"


def test_a_folder_with_a_list_is_that_list(tmp_path: Path) -> None:
    clip_list(tmp_path, [{"ant": wav(tmp_path, "a.wav", 1, 2)}])
    assert [each.where for each in good(tmp_path)] == [f"{tmp_path / 'clips.jsonl'}, line 1"]


def test_of_a_long_sound_the_first_window_is_heard(tmp_path: Path) -> None:
    rows = [{"ant": wav(tmp_path, "a.wav", 16384, 0, 8192, 8192)}]
    (sample,) = good(clip_list(tmp_path, rows))
    assert sample.raws["ant"].tolist() == [0.5, 0]


def test_an_encoder_that_remembers_hears_all_windows_in_order(tmp_path: Path) -> None:
    path = clip_list(tmp_path, [{"ear": wav(tmp_path, "a.wav", *range(0, 12 * 4096, 4096)[:8])}])
    bundle = remembering_bundle()
    (sample,) = read_samples(path, bundle.manifest)
    assert isinstance(sample, Sample)
    assert [each.tolist() for each in sample.before["ear"]] == [[0, 0.125, 0.25, 0.375]]
    assert sample.raws["ear"].tolist() == [0.5, 0.625, 0.75, 0.875]
    assert prepared(tmp_path, [sample], bundle).steps("ear").tolist() == [2]


def test_clips_that_share_a_file_are_one_group_also_through_a_link(tmp_path: Path) -> None:
    names = [wav(tmp_path, f"{n}.wav", n, n) for n in range(5)]
    (tmp_path / "link.wav").symlink_to(tmp_path / "0.wav")
    rows = [
        {"ant": names[1], "bee": names[0]},
        {"ant": names[2]},
        {"ant": names[3], "bee": "link.wav"},
        {"ant": names[4], "bee": names[2]},
    ]
    assert [each.group for each in good(clip_list(tmp_path, rows))] == [
        "0.wav",
        "2.wav",
        "0.wav",
        "2.wav",
    ]


def test_a_column_tells_the_group_where_one_is_asked_for(tmp_path: Path) -> None:
    rows = [
        {"ant": wav(tmp_path, f"{n}.wav", n, n), "speaker": "ann", "site": f"s{n}"}
        for n in range(2)
    ]
    path = clip_list(tmp_path, rows)
    assert [each.group for each in good(path)] == ["ann", "ann"]
    assert [each.group for each in good(path, split_by="site")] == ["s0", "s1"]
    with pytest.raises(ConfigError, match="line 1: no column 'room' to split by"):
        read(path, split_by="room")


@pytest.mark.parametrize("harm", ["missing", "empty", "cut", "words"])
def test_a_file_that_cannot_be_read_is_one_clip_less(tmp_path: Path, harm: str) -> None:
    rows = [{"ant": wav(tmp_path, f"{n}.wav", n, n)} for n in range(3)]
    path, file = clip_list(tmp_path, rows), tmp_path / "1.wav"
    if harm == "missing":
        file.unlink()
    else:
        content = {"empty": b"", "cut": file.read_bytes()[:20], "words": b"no sound at all"}
        file.write_bytes(content[harm])
    samples = read(path)
    assert [type(each) for each in samples] == [Sample, Unread, Sample]
    assert isinstance(samples[1], Unread)
    assert samples[1].where == f"{path}, line 2"
    assert isinstance(samples[1].error, SourceError)
    assert "1.wav" in str(samples[1].error)


def test_a_label_that_is_no_class_is_an_error_that_names_line_and_label(tmp_path: Path) -> None:
    name = wav(tmp_path, "a.wav", 1, 2)
    rows = [{"ant": name, "labels": {"side": label}} for label in ("left", "lft")]
    with pytest.raises(ArtefactError, match=r"line 2: label 'lft' of task 'side' is none of left"):
        read(clip_list(tmp_path, rows))


def test_a_column_that_is_a_list_is_refused(tmp_path: Path) -> None:
    rows = [{"ant": wav(tmp_path, "a.wav", 1, 2), "speaker": ["ann", "bob"]}]
    with pytest.raises(ArtefactError, match=r"line 1: column 'speaker' is \['ann', 'bob'\]"):
        read(clip_list(tmp_path, rows))


def test_no_such_data_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no data at .*none.jsonl"):
        read(tmp_path / "none.jsonl")


def test_the_prepared_data_is_what_live_preprocessing_makes(tmp_path: Path) -> None:
    rows = [
        {"ant": wav(tmp_path, f"{n}.wav", 8192 * n), "labels": {"side": "left"}} for n in range(3)
    ]
    data = prepared(tmp_path, read_samples(clip_list(tmp_path, rows), SIDES.manifest))
    ((_, arrays),) = data.batches("ant")
    assert arrays["samples"].tolist() == [[0, 0], [0.25, 0], [0.5, 0]]  # filled up with silence
    assert arrays["samples"].dtype == np.float32
