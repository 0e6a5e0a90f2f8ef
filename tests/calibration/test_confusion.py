from __future__ import annotations

import numpy as np

from mmedge.calibration.confusion import confuse

LABELS = ("ant", "bee", "cat")


def logits(*answers: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.eye(3, dtype=np.float32)[list(answers)]


def test_every_combination_that_occurs_is_counted() -> None:
    found = confuse(LABELS, logits(0, 1, 1, 2), logits(0, 1, 1, 1), np.array([0, 1, 1, 1]))
    assert found.counts == ((0, 0, 0, 1), (1, 1, 1, 2), (1, 2, 1, 1))
    assert found.labelled
    assert found.table("truth", "fp32").tolist() == [[1, 0, 0], [0, 2, 1], [0, 0, 0]]
    assert found.table("truth", "plan").tolist() == [[1, 0, 0], [0, 3, 0], [0, 0, 0]]
    assert found.table("fp32", "plan").tolist() == [[1, 0, 0], [0, 2, 0], [0, 1, 0]]


def test_without_labels_the_truth_is_unknown() -> None:
    found = confuse(LABELS, logits(0, 1), logits(0, 2), None)
    assert found.counts == ((-1, 0, 0, 1), (-1, 1, 2, 1))
    assert not found.labelled
    assert not found.table("truth", "plan").any()
    assert found.table("fp32", "plan").sum() == 2


def test_json_names_its_columns() -> None:
    assert confuse(LABELS, logits(2), logits(0), np.array([1])).to_json() == {
        "labels": ["ant", "bee", "cat"],
        "columns": ["truth", "fp32", "plan", "samples"],
        "counts": [[1, 2, 0, 1]],
    }
