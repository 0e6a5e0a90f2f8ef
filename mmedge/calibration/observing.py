"""Watches the values of a graph while it runs over samples; memory does not grow with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mmedge.calibration.graph import Graph
from mmedge.calibration.histogram import HUGE, Histogram
from mmedge.calibration.rewrite.fp16.masks import fit_masks
from mmedge.calibration.rewrite.fp16.origins import origins_of
from mmedge.calibration.rewrite.fp16.typed import types_of
from mmedge.calibration.watching import Watched
from mmedge.runtime.backends import Arrays

__all__ = ["MASKED", "Observer", "left_out"]

MASKED = -5000.0
"""What reaches down to here is a mask, where one is on its way to a softmax: a constant below
-16,376 or so plus a score. Softmax gives exactly 0 in float32 for what lies 104 below its row's
largest."""


class Observer:
    """Counts the numbers of values in one pass; neither batches nor their order matter.

    Args:
        model: an ONNX file of a bundle.
        values: names of inputs, outputs or inner values of floats.
        threads: CPU threads inside one operator.

    Attributes:
        histograms: value -> its distribution, in the order of ``values``.

    Raises:
        ConfigError: the graph has no such value.
        ArtefactError: no ONNX file, or its types cannot be inferred, or it cannot be run.
    """

    def __init__(self, model: bytes, values: Iterable[str], *, threads: int | None = None) -> None:
        self._watched = Watched(model, values, threads=threads)
        masked = _mask_values(model)
        self.histograms: Mapping[str, Histogram] = {
            name: Histogram(mask_below=MASKED if name in masked else -HUGE)
            for name in self._watched.values
        }

    def add(self, feeds: Arrays) -> None:
        """Run the graph on some samples and count what is seen.

        Args:
            feeds: graph input -> ``[B, ...]``.

        Raises:
            ArtefactError: the graph fails on a sample.
        """
        for name, array in self._watched.run(feeds):
            self.histograms[name].add(array)


def left_out(histograms: Mapping[str, Histogram]) -> dict[str, str]:
    """Say of values what was left out of their ranges; those without anything are not named.

    NaN come from the model or its inputs, and the first value that has some is where they
    begin if ``histograms`` are in the order of the graph.
    """
    found = {}
    for name, each in histograms.items():
        kinds = {"NaN": each.nan, "infinite": each.infinite, "masks": each.masks}
        parts = [f"{count:,} {kind}" for kind, count in kinds.items() if count]
        if parts:
            found[name] = f"{', '.join(parts)} of {each.total + each.left_out:,} numbers"
    return found


def _mask_values(model: bytes) -> frozenset[str]:
    """Values between a constant that masks and the softmax that it masks."""
    graph = Graph(model)
    if not any(node.op_type == "Softmax" for node in graph.nodes):
        return frozenset()
    graph.sort()
    return fit_masks(graph, origins_of(graph, types_of(graph)))  # this copy is thrown away
