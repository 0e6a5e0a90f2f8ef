"""FP16 graphs answer as FP32 does, and compile with TensorRT-RTX: valid for NVIDIA's compiler."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install 'mmedge[rtx]'"
)

from mmedge.bundle import open_bundle
from mmedge.calibration.graph import Graph
from mmedge.calibration.layers import RECURRENT, find_layers
from mmedge.calibration.lowering import Lowering
from mmedge.calibration.rewrite.fp16 import lower_fp16
from mmedge.calibration.rewrite.tensorrt import lower_tensorrt
from tests.calibration.observed import cosine, drawn, observe, session
from tests.rtx.test_compile import DEMO, GRAPHS, check, graph_of, kept_graphs

pytestmark = [pytest.mark.rtx, pytest.mark.timeout(300)]


def in_fp16(model: bytes) -> bytes:
    """Lower a graph by what some drawn inputs reach; it answers the same on all of them."""
    feeds = [drawn(model, batch) for batch in (1, 2, 5)]
    lowered = lower_fp16(model, observe(model, *feeds)).model
    before, after = session(model), session(lowered)
    for each in feeds:
        for wanted, found in zip(before.run(None, each), after.run(None, each), strict=True):
            assert wanted.dtype == found.dtype
            if wanted.dtype == np.float32:  # a mask that a threshold decides may tip over
                assert cosine(wanted, found) >= 0.999
    return lowered


@pytest.mark.parametrize("graph", kept_graphs())
def test_whatever_the_other_tests_exported_compiles_in_fp16(graph: Path) -> None:
    check(in_fp16(graph.read_bytes()))


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_demo_compiles_in_fp16(graph: str) -> None:
    check(in_fp16(graph_of(open_bundle(DEMO), graph)))


@pytest.mark.parametrize("graph", ["camera", "mic"])
def test_int8_and_fp16_together_compile(graph: str) -> None:
    model = graph_of(open_bundle(DEMO), graph)
    feeds = drawn(model, 5)
    seen = observe(model, feeds)
    layers = [each.name for each in find_layers(Graph(model)) if each.kind not in RECURRENT]
    int8, lowered = (
        lower_tensorrt(model, Lowering(int8=frozenset(layers), ranges=seen, seen=seen, rest=rest))
        for rest in ("fp32", "fp16")
    )
    # Q and DQ round near a tie otherwise where what they take was rounded to FP16.
    wanted, found = (session(each).run(None, feeds)[0] for each in (int8.model, lowered.model))
    assert cosine(wanted, found) > 0.999
    assert np.abs(wanted - found).max() > 0
    check(lowered.model, lowered.int8)
