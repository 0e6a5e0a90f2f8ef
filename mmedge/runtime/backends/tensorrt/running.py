"""One engine that runs: in to the GPU, through it, and out again, in this order on one stream."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge._closing import Closing
from mmedge.engines.listening import Heard, hear
from mmedge.engines.opening import failure, made, open_engine
from mmedge.errors import MmedgeError
from mmedge.runtime.backends import Arrays
from mmedge.runtime.backends.signature import check_shapes, graph_spec, tensor_spec
from mmedge.runtime.backends.tensorrt.cuda import Cuda, Memory
from mmedge.specs import DType, GraphSpec, TensorSpec

__all__ = ["Runner"]

Array = NDArray[np.generic]

_DTYPES: dict[str, DType] = {
    "FLOAT": "float32",
    "HALF": "float16",
    "UINT8": "uint8",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}
_LOG = logging.getLogger(__name__)


class Runner(Closing):
    """An engine, its context, a stream and blocks of memory.

    Args:
        engine: serialised; it has been authenticated.
        trt: the module that built it, ``tensorrt`` or ``tensorrt_rtx``.
        cuda: the runtime of CUDA.
        what: the graph, for error messages.
        dla_core: the DLA that the engine was built for, if one was.

    Raises:
        IncompatibleError: this TensorRT cannot open the engine, or CUDA fails.
        ResourceError: the GPU's memory does not suffice.
        ArtefactError: no bundle holds a graph with such inputs and outputs.
    """

    def __init__(
        self, engine: bytes, *, trt: Any, cuda: Cuda, what: str, dla_core: int | None = None
    ) -> None:
        self._what = what
        self._cuda = cuda
        self._memory = Memory(cuda)
        self._stream: Any = None
        self._trt = trt
        runtime, cuda_engine = open_engine(engine, trt=trt, what=what, dla_core=dla_core)
        with hear(trt) as heard:
            self._context = made(cuda_engine.create_execution_context, what=what, heard=heard)
        self._runtime, self._engine = runtime, cuda_engine
        self.spec, self._rows = _read_signature(cuda_engine, trt, what)
        self._stream = cuda.open_stream()

    def run(self, feeds: Arrays) -> dict[str, Array]:
        """Run any batch, in pieces of as many rows as the engine was built for.

        Args:
            feeds: input -> array that fits `spec`.

        Returns:
            output -> array of the caller's own.
        """
        batch = len(next(iter(feeds.values())))
        outputs = {each.name: _room(each, batch) for each in self.spec.outputs}
        for begin in range(0, batch, self._rows):
            rows = slice(begin, begin + self._rows)
            ins = {name: np.ascontiguousarray(array[rows]) for name, array in feeds.items()}
            try:
                self._begin(ins, {name: array[rows] for name, array in outputs.items()})
            finally:  # whatever happens, what is being copied must live until it is
                self._cuda.wait(self._stream)
        return outputs

    def _begin(self, ins: Mapping[str, Array], outs: Mapping[str, Array]) -> None:
        """Put one run on the stream."""
        with hear(self._trt) as heard:
            self._put(ins, outs, heard)

    def _put(self, ins: Mapping[str, Array], outs: Mapping[str, Array], heard: Heard) -> None:
        context = self._context
        for name, array in ins.items():
            self._done(context.set_input_shape(name, array.shape), heard)
        shapes = {name: tuple(context.get_tensor_shape(name)) for name in outs}
        check_shapes(self._what, self.spec, shapes, len(next(iter(ins.values()))))
        addresses = {
            name: self._memory.at(name, array.nbytes) for name, array in {**ins, **outs}.items()
        }
        for name, address in addresses.items():
            self._done(context.set_tensor_address(name, address), heard)
        for name, array in ins.items():
            self._cuda.copy_in(addresses[name], array, self._stream)
        self._done(context.execute_async_v3(int(self._stream)), heard)
        for name, array in outs.items():
            self._cuda.copy_out(array, addresses[name], self._stream)

    def close(self) -> None:
        """Give everything back, the stream's work done."""
        stream, self._stream = self._stream, None
        try:
            if stream is not None:
                self._cuda.wait(stream)
                self._cuda.close_stream(stream)
        except MmedgeError as exc:  # after some errors nothing works any more
            _LOG.warning("%s was not closed in order: %s", self._what, exc)
        self._memory.close()
        self._context = self._engine = self._runtime = None

    def _done(self, done: bool, heard: Heard) -> None:
        if not done:
            raise failure("cannot run the engine", self._what, heard)


def _read_signature(cuda_engine: Any, trt: Any, what: str) -> tuple[GraphSpec, int]:
    """Read an engine's inputs and outputs, and how many rows it takes at most."""
    names = [cuda_engine.get_tensor_name(index) for index in range(cuda_engine.num_io_tensors)]
    is_input = {name: cuda_engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT for name in names}
    ins = [name for name in names if is_input[name]]
    spec = graph_spec(
        what,
        (_spec(cuda_engine, name, what) for name in ins),
        (_spec(cuda_engine, name, what) for name in names if not is_input[name]),
    )
    largest = [cuda_engine.get_tensor_profile_shape(name, 0)[2][0] for name in ins]
    return spec, min(largest)


def _spec(cuda_engine: Any, name: str, what: str) -> TensorSpec:
    sizes = [size if size >= 0 else None for size in cuda_engine.get_tensor_shape(name)]
    kind = cuda_engine.get_tensor_dtype(name)
    return tensor_spec(what, name, sizes, kind.name, _DTYPES)


def _room(spec: TensorSpec, batch: int) -> Array:
    sizes = [size for size in spec.shape[1:] if isinstance(size, int)]
    return np.empty((batch, *sizes), spec.dtype)
