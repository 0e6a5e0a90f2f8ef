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

from mmedge.engines.cache import EngineCache
from mmedge.engines.request import Place
from mmedge.engines.toolkit import ToolkitName, open_toolkit
from mmedge.errors import IncompatibleError
from mmedge.runtime.backends import Arrays
from mmedge.runtime.backends.opened import Opened
from mmedge.runtime.backends.tables import tables_of
from mmedge.runtime.backends.tensorrt.cuda import open_cuda
from mmedge.runtime.backends.tensorrt.running import Runner

__all__ = ["TensorRT", "TensorRTRtx"]


class TensorRT(Opened):
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
        tables = tables_of(model)  # a GPU would read zeros beyond one
        self._runner = Runner(
            built.engine,
            trt=toolkit.trt,
            cuda=cuda,
            what=what,
            dla_core=request.flags.get("dla_core"),
        )
        super().__init__(what, self._runner.spec, tables)

    def _run(self, feeds: Arrays, batch: int) -> dict[str, NDArray[np.generic]]:
        return self._runner.run(feeds)

    def _release(self) -> None:
        self._runner.close()


class TensorRTRtx(TensorRT):
    """An engine of TensorRT-RTX, which finishes compiling when it is first run."""

    toolkit: ClassVar[ToolkitName] = "tensorrt_rtx"
