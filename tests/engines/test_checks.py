"""What TensorRT would refuse late, or compute otherwise, is refused first.

That TensorRT-RTX does so is seen in ``tests/rtx/test_refused.py``, on the same graphs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mmedge.bundle import Bundle
from mmedge.engines.checks import check_graph
from mmedge.engines.graph import PlanGraph
from mmedge.errors import ArtefactError, IncompatibleError
from tests.engines.graphs import REFUSED, TAKEN


@pytest.mark.parametrize("what", REFUSED)
def test_what_tensorrt_would_not_compute_is_refused_with_the_node_s_name(what: str) -> None:
    model, words = REFUSED[what]
    with pytest.raises(IncompatibleError, match=rf"graph 'g': .*{words}") as raised:
        check_graph(PlanGraph(model, "graph 'g'"))
    assert "mmedge calibrate" in str(raised.value) or "Cast to float" in str(raised.value)


@pytest.mark.parametrize("what", TAKEN)
def test_what_tensorrt_computes_is_taken(what: str) -> None:
    check_graph(PlanGraph(TAKEN[what], "graph 'g'"))


def test_the_shipped_graphs_are_taken(demo: Bundle) -> None:
    for name, ref in demo.manifest.plans["fp32"].graphs.items():
        check_graph(PlanGraph(demo.read(ref), name))


def test_what_no_bundle_may_hold_does_not_come_that_far(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="not an ONNX file"):
        PlanGraph(b"\x0a\xff", "graph 'g'")
