"""Labels of every kind of task, right and wrong, alone and in lists of clips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmedge.errors import ArtefactError, ConfigError
from mmedge.runtime.clips import Clip, read_clips, read_label
from mmedge.specs import Classification, Matching, MultiLabel, Raw, Regression, Task, Text

TASKS: dict[str, Task] = {
    "kind": Classification(labels=("ant", "bee")),
    "tags": MultiLabel(labels=("old", "red", "wet")),
    "fits": Matching(between=("photo", "caption")),
    "level": Regression(names=("level",), units=("m",)),
    "size": Regression(names=("width", "height"), units=("m", "m")),
    "mask": Raw(shape=(2, 3)),
}
READ = [
    ("kind", "bee", 1, "int64"),
    ("tags", ["wet", "old"], [True, False, True], "bool"),
    ("tags", [], [False] * 3, "bool"),
    ("fits", True, True, "bool"),
    ("fits", np.bool_(False), False, "bool"),
    ("level", 3, [3.0], "float64"),
    ("level", {"level": -0.5}, [-0.5], "float64"),
    ("level", np.float32(0.25), [0.25], "float64"),
    ("size", {"height": 2, "width": 1.5}, [1.5, 2.0], "float64"),
    ("mask", [[1, 2, 3], [4, 5, 6.5]], [[1, 2, 3], [4, 5, 6.5]], "float32"),
    ("mask", np.ones((2, 3), bool), [[1, 1, 1], [1, 1, 1]], "float32"),
]


@pytest.mark.parametrize(("task", "label", "numbers", "dtype"), READ)
def test_a_label_becomes_numbers(task: str, label: Any, numbers: Any, dtype: str) -> None:
    found = read_label(task, TASKS[task], label)
    assert found.tolist() == numbers
    assert found.dtype == dtype


REFUSED = [
    ("kind", "cat", "label 'cat' of task 'kind' is none of ant, bee"),
    ("kind", 1, "label 1 of task 'kind' is none of ant, bee"),
    ("kind", ["ant"], "is none of ant, bee"),
    ("tags", "old", "give a list of labels, empty where none holds"),
    ("tags", ["old", "new"], "label 'new' of task 'tags' is none of old, red, wet"),
    ("tags", ["old", "old"], "give each label once"),
    ("tags", {"old": True}, "give a list of labels"),
    ("fits", 1, "label '1' of task 'fits' cannot be; give true or false"),
    ("fits", "yes", "give true or false"),
    ("level", True, "give numbers that are finite"),
    ("level", "3", "give numbers that are finite"),
    ("level", None, "give numbers that are finite"),
    ("level", float("nan"), "give numbers that are finite"),
    ("level", 10**400, "give numbers that are finite"),
    ("level", {"depth": 3}, "give a number for each of level"),
    ("size", 3.0, "give an object with a number for each of width, height"),
    ("size", [1.0, 2.0], "give an object with a number for each of width, height"),
    ("size", {"width": 1}, "give a number for each of width, height"),
    ("mask", [[1, 2], [3]], "give numbers of shape (2, 3)"),
    ("mask", [[1, 2, 3]], "is int64 of shape (1, 3); numbers of shape (2, 3) were expected"),
    ("mask", 5, "numbers of shape (2, 3) were expected"),
    ("mask", [["a", "b", "c"]] * 2, "numbers of shape (2, 3) were expected"),
    ("mask", [[10**400] * 3] * 2, "numbers of shape (2, 3) were expected"),
    ("mask", [[1e39] * 3] * 2, "holds NaN or infinity"),
    ("mask", np.full((2, 3), np.nan), "holds NaN or infinity"),
]


@pytest.mark.parametrize(("task", "label", "message"), REFUSED)
def test_a_label_that_cannot_be_is_refused_in_words(task: str, label: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_label(task, TASKS[task], label)
    assert message in str(caught.value)


def clips(folder: Path, labels: dict[str, Any], *, known: bool = True) -> list[Clip]:
    path = folder / "clips.jsonl"
    path.write_text(json.dumps({"caption": "an ant", "labels": labels}) + "\n")
    caption = Text(tokenizer="t.json", max_tokens=4)
    return list(read_clips(path, {"caption": caption}, TASKS if known else None))


def test_a_list_of_clips_may_label_every_kind_of_task(tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", np.arange(6, dtype=np.uint8).reshape(2, 3))
    labels = {
        "kind": "ant",
        "tags": ["red"],
        "fits": False,
        "level": 2,
        "size": {"width": 1, "height": 2},
        "mask": "mask.npy",
    }
    (clip,) = clips(tmp_path, labels)
    assert clip.labels == {**labels, "mask": tmp_path / "mask.npy"}
    mask = read_label("mask", TASKS["mask"], clip.labels["mask"])
    assert mask.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"kind": "cat"}, "line 1: label 'cat' of task 'kind' is none of ant, bee"),
        ({"knid": "ant"}, "line 1: a label for 'knid', but the tasks are ['fits', 'kind', "),
        ({"size": 3}, "line 1: label '3' of task 'size' cannot be"),
        ({"mask": "absent.npy"}, "line 1: 'labels.mask': cannot read"),
        ({"mask": "clips.jsonl"}, "is no readable NPY file"),
        ({"mask": "wide.npy"}, "line 1: the label of task 'mask' is float64 of shape (3, 2)"),
        ({"mask": "text.npy"}, "line 1: the label of task 'mask' is <U1 of shape (2, 3)"),
        ({"mask": "objects.npy"}, "is no readable NPY file"),
        ({"mask": "several.npz"}, "is an archive; give an NPY file"),
    ],
)
def test_a_wrong_label_in_a_list_names_its_line(
    tmp_path: Path, labels: dict[str, Any], message: str
) -> None:
    np.save(tmp_path / "wide.npy", np.zeros((3, 2)))
    np.save(tmp_path / "text.npy", np.full((2, 3), "a"))
    np.save(tmp_path / "objects.npy", np.full((2, 3), None), allow_pickle=True)
    np.savez(tmp_path / "several.npz", np.zeros((2, 3)))
    with pytest.raises(ArtefactError) as caught:
        clips(tmp_path, labels)
    assert message in str(caught.value)


def test_without_the_tasks_labels_are_left_as_they_are(tmp_path: Path) -> None:
    (clip,) = clips(tmp_path, {"knid": 7, "mask": "absent.npy"}, known=False)
    assert clip.labels == {"knid": 7, "mask": "absent.npy"}
