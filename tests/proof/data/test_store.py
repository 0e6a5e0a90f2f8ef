from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmedge.errors import ArtefactError
from mmedge.proof.data.store import Inputs, Table
from mmedge.specs import TensorSpec


def table(folder: Path, count: int = 10) -> Table:
    made = Table(folder / "x.bin", "int64", (2,))
    with made:
        for row in range(count):
            assert made.append(np.array([row, -row])) == row
    return made


@pytest.mark.parametrize("rows", [[], [3], [9, 0, 1, 2, 2, 8], list(range(10))])
def test_any_rows_are_read_in_the_order_asked_for(tmp_path: Path, rows: list[int]) -> None:
    read = table(tmp_path).read(np.array(rows, np.int64))
    assert read.dtype == np.int64
    assert read.tolist() == [[row, -row] for row in rows]


def test_a_table_of_numbers_has_no_axis_but_the_rows(tmp_path: Path) -> None:
    with Table(tmp_path / "x.bin", "bool", ()) as made:
        made.append(np.array(True))
        made.append(np.array(False))
    assert made.read(np.array([1, 0])).tolist() == [False, True]


def test_another_shape_or_type_is_a_bug(tmp_path: Path) -> None:
    with Table(tmp_path / "x.bin", "float32", (2,)) as made:
        with pytest.raises(ValueError, match="which holds float32"):
            made.append(np.zeros(2))
        with pytest.raises(ValueError, match="which holds float32"):
            made.append(np.zeros(3, np.float32))


def test_a_file_that_was_cut_or_removed_meanwhile_is_said_to_be_so(tmp_path: Path) -> None:
    made = table(tmp_path)
    with made.path.open("r+b") as file:
        file.truncate(30)
    with pytest.raises(ArtefactError, match="was cut off"):
        made.read(np.array([0, 1, 2]))
    made.path.unlink()
    with pytest.raises(ArtefactError, match="was removed"):
        made.read(np.array([0]))


def inputs(folder: Path) -> Inputs:
    specs = [
        TensorSpec(name="a", dtype="float32", shape=("batch", 2)),
        TensorSpec(name="b", dtype="int64", shape=("batch",)),
    ]
    return Inputs(folder, "ear", specs)


def window(a: float, b: int) -> dict[str, np.ndarray]:
    return {"a": np.float32([a, 1]), "b": np.array(b)}


def test_equal_inputs_are_kept_once_and_chains_by_their_whole(tmp_path: Path) -> None:
    with inputs(tmp_path) as store:
        given = [
            [window(1, 1)],
            [window(1, 1), window(2, 1)],
            [window(1, 2)],
            [window(1, 1)],
            [window(2, 1), window(1, 1)],
        ]
        assert [store.add(each)[0] for each in given] == [0, 1, 2, 0, 3]
    assert store.steps.tolist() == [1, 2, 1, 2]
    second = store.read(np.array([1, 3]), step=1)
    assert second["a"].tolist() == [[2, 1], [1, 1]]
    assert (tmp_path / "ear-1.bin").stat().st_size == 6 * 8


def test_the_spread_is_over_all_windows_of_an_input(tmp_path: Path) -> None:
    with inputs(tmp_path) as store:
        store.add([window(1, 1)])
        store.add([window(1, 1), window(-3, 1)])
    assert store.spread.tolist() == [0, 4]
