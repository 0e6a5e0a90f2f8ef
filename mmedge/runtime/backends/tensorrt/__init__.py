"""TensorRT and TensorRT-RTX: they run engines that ``mmedge build`` made on this device.

A backend never builds: that takes minutes, and who serves waits for seconds. Nothing of CUDA is
touched before the driver has answered, and nothing is deserialised that this device did not
sign, see `mmedge.engines`.
"""

from __future__ import annotations

import hashlib
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from mmedge._closing import Closing
from mmedge.engines.cache import EngineCache
from mmedge.engines.request import Place
from mmedge.engines.toolkit import ToolkitName, open_toolkit
from mmedge.errors import ArtefactError, IncompatibleError
from mmedge.runtime.backends import Arrays
from mmedge.runtime.backends.signature import check_feeds, fits, wanted_of
from mmedge.runtime.backends.tables import check_indices, tables_of
from mmedge.runtime.backends.tensorrt.cuda import open_cuda
from mmedge.runtime.backends.tensorrt.running import Runner
from mmedge.specs import GraphSpec

__all__ = ["TensorRT", "TensorRTRtx"]


class TensorRT(Closing):
    """One engine, with a stream of its own. The CPU's threads are none of its business."""

    kind: Literal["cpu", "gpu"] = "gpu"
    toolkit: ClassVar[ToolkitName] = "tensorrt"

    def __init__(
        self,
        model: bytes,
        *,
        what: str,
        threads: int | None = None,
        spin: bool = True,
        simulate: bool = False,
    ) -> None:
        if simulate:
            raise IncompatibleError(
                f"{what}: TensorRT imitates nobody; it runs plans for TensorRT as they are."
            )
        toolkit = open_toolkit(self.toolkit)
        cuda = open_cuda(toolkit)
        place = Place.of(toolkit)
        request, built = EngineCache().find(hashlib.sha256(model).hexdigest(), place, what=what)
        self._what = what
        self._runner: Runner | None = Runner(
            built.engine,
            trt=toolkit.trt,
            cuda=cuda,
            what=what,
            dla_core=request.flags.get("dla_core"),
        )
        self._spec = self._runner.spec
        self._tables = tables_of(model)
        self._wanted = wanted_of(self._spec)

    @property
    def spec(self) -> GraphSpec:
        """Inputs and outputs of the graph."""
        return self._spec

    def run(self, feeds: Arrays) -> dict[str, NDArray[np.generic]]:
        """Run once, with any batch.

        Raises:
            ConfigError: an input is missing, unknown, or of another type or shape.
            ArtefactError: an index lies beyond its table, or the engine gives other shapes than
                it declares.
            IncompatibleError: CUDA or TensorRT fails.
            ResourceError: the GPU's memory does not suffice.
        """
        if self._runner is None:
            raise RuntimeError(f"{self._what} was closed; open it again to run it")
        if not fits(feeds, self._wanted):
            check_feeds(self._what, self._spec, feeds)
        try:
            check_indices(self._tables, feeds)
        except ValueError as exc:  # a GPU would read zeros there
            batch = len(next(iter(feeds.values())))
            raise ArtefactError(
                f"{self._what} fails on a batch of {batch}: {exc}. Export it again."
            ) from exc
        return self._runner.run(feeds)

    def close(self) -> None:
        """Give the engine's memory on the GPU back."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None


class TensorRTRtx(TensorRT):
    """An engine of TensorRT-RTX, which finishes compiling when it is first run."""

    toolkit: ClassVar[ToolkitName] = "tensorrt_rtx"
