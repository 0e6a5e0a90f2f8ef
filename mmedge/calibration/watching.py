"""Inner values of a graph while it runs, one sample at a time.

One sample at a time costs little, since observing a value takes longer than computing it, and
gives two things: the peak of memory is that of a single sample, whatever the batch; and so are
the numbers, since kernels may sum up in another order for another batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from numpy.typing import NDArray

from mmedge._optional import require
from mmedge.calibration.graph import Graph
from mmedge.errors import ArtefactError, ConfigError
from mmedge.proof.taps import with_output
from mmedge.runtime.backends import Arrays

__all__ = ["Watched"]


class Watched:
    """A graph whose inner values are looked at. It computes what is written, nothing fused.

    Args:
        model: an ONNX file of a bundle.
        values: names of inputs, outputs or inner values; one that is named twice counts once.
        threads: CPU threads inside one operator.

    Raises:
        ConfigError: the graph has no such value.
        ArtefactError: the graph cannot be run.
    """

    def __init__(self, model: bytes, values: Iterable[str], *, threads: int | None = None) -> None:
        ort = require("onnxruntime", extra="cpu|gpu", why="calibration")
        graph = Graph(model).model.graph
        given = {each.name for each in graph.input}
        made = {name for node in graph.node for name in node.output if name}
        self.values = tuple(dict.fromkeys(values))
        if strange := [name for name in self.values if name not in made | given]:
            raise ConfigError(f"there are no such values in the graph: {', '.join(strange)}")
        self._name = graph.name
        self._made = [name for name in self.values if name in made]
        taps = set(self._made) - {each.name for each in graph.output}
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_cpu_mem_arena = False  # it would keep twice the peak
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads is not None:
            options.intra_op_num_threads = threads
        tapped = b"".join([model, *(with_output(b"", name) for name in sorted(taps))])
        try:
            self._session: Any = ort.InferenceSession(tapped, options)
        except Exception as exc:  # its exceptions have no common base but this
            raise ArtefactError(f"the graph {graph.name!r} cannot be watched: {exc}") from exc

    def run(self, feeds: Arrays) -> Iterator[tuple[str, NDArray[Any]]]:
        """Run each sample, and give each value of it, ``[1, ...]`` or without a batch.

        Args:
            feeds: graph input -> ``[B, ...]``.

        Raises:
            ArtefactError: the graph fails on a sample.
        """
        for row in range(len(next(iter(feeds.values())))):
            sample = {name: array[row : row + 1] for name, array in feeds.items()}
            found = dict(zip(self._made, self._run(sample), strict=True))
            for name in self.values:  # what was looked at is given back at once
                yield name, found.pop(name) if name in found else sample[name]

    def _run(self, sample: Arrays) -> list[NDArray[Any]]:
        if not self._made:
            return []
        try:
            arrays: list[NDArray[Any]] = self._session.run(self._made, sample)
        except Exception as exc:  # its exceptions have no common base but this
            raise ArtefactError(f"the graph {self._name!r} fails on a sample: {exc}") from exc
        return arrays
