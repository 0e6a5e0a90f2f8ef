"""What every backend has for nothing: it computes, gives back, and the rest is checked here."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest

from mmedge.errors import ArtefactError, ConfigError, ResourceError
from mmedge.runtime.backends import Backend
from mmedge.runtime.backends.opened import Opened
from mmedge.runtime.backends.tables import Table
from mmedge.specs import GraphSpec, TensorSpec

SPEC = GraphSpec(
    inputs=(TensorSpec(name="x", dtype="int64", shape=("batch", 1)),),
    outputs=(TensorSpec(name="y", dtype="int64", shape=("batch", 1)),),
)


class Twice(Opened):
    """Gives twice what comes in, or fails, or loses rows."""

    kind: Literal["cpu", "gpu"] = "cpu"

    def __init__(self, **options: Any) -> None:
        super().__init__("graph 'ant'", SPEC, **options)
        self.computed: list[int] = []
        self.released = 0
        self.loses = 0
        self.fails = ""

    def _run(self, feeds: Any, batch: int) -> dict[str, Any]:
        self.computed.append(batch)
        if self.fails:
            raise self._failed(batch, RuntimeError(self.fails), self.fails.splitlines()[0])
        return {"y": 2 * feeds["x"][self.loses :]}

    def _release(self) -> None:
        self.released += 1


def rows(*values: int) -> dict[str, Any]:
    return {"x": np.array(values, np.int64).reshape(-1, 1)}


def test_what_fits_is_computed() -> None:
    backend: Backend = Twice()
    assert backend.spec == SPEC
    assert backend.run(rows(1, 2, 3))["y"].tolist() == [[2], [4], [6]]


def test_what_does_not_fit_is_not_computed() -> None:
    backend = Twice()
    for wrong in ({}, rows(), {"x": np.zeros((1, 1), np.float32)}):
        with pytest.raises(ConfigError, match="graph 'ant'"):
            backend.run(wrong)
    assert backend.computed == []


def test_an_index_beyond_a_table_is_not_computed() -> None:
    backend = Twice(tables=[Table("x", 4)])
    with pytest.raises(ArtefactError, match=r"fails on a batch of 2: .* index 4 into a table of 4"):
        backend.run(rows(0, 4))
    assert backend.computed == []
    assert backend.run(rows(3))["y"].tolist() == [[6]]


def test_outputs_of_another_shape_are_the_artefacts_fault() -> None:
    backend = Twice()
    backend.loses = 1
    with pytest.raises(ArtefactError, match=r"'y' the shape \(1, 1\) for a batch of 2"):
        backend.run(rows(1, 2))


def test_a_graph_that_fails_says_on_how_many_rows_and_why() -> None:
    backend = Twice()
    backend.fails = "the sky fell"
    with pytest.raises(ArtefactError, match=r"^graph 'ant' fails on a batch of 2: the sky fell\."):
        backend.run(rows(1, 2))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("cpu", r"the memory does not suffice: Mul fails\. Close what else uses it\."),
        (
            "gpu",
            r"the GPU's memory .*: Mul fails\. Close what else uses it, or take --backend cpu\.",
        ),
    ],
)
def test_memory_that_does_not_suffice_is_not_the_artefacts_fault(
    kind: Literal["cpu", "gpu"], words: str
) -> None:
    backend = Twice()
    backend.kind, backend.fails = kind, "Mul fails\nstd::bad_alloc"
    with pytest.raises(ResourceError, match=f"^graph 'ant': {words}$"):
        backend.run(rows(1))


def test_closing_gives_back_once_and_ends_running() -> None:
    with Twice() as backend:
        backend.close()
        backend.close()
    assert backend.released == 1
    with pytest.raises(RuntimeError, match="graph 'ant' was closed"):
        backend.run(rows(1))
    assert backend.computed == []
