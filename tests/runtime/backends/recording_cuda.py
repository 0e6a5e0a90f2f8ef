"""A recording stand-in for CUDA and for TensorRT's runtime: no GPU, and none is pretended.

It writes down every call, and does what is put on a stream only when that is waited for, as
late as a GPU may. So whoever reads an output too early finds what was there before, and whoever
frees or changes memory too early is caught. "Engines" are ONNX files, computed by ONNX Runtime.
Names and arguments are those of ``cuda.bindings.runtime`` and of TensorRT's Python bindings; a
test compares them with the real ones.
"""

from __future__ import annotations

import ctypes
import enum
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from mmedge.engines.cache import EngineCache
from mmedge.engines.driver import Driver, Gpu
from mmedge.engines.request import EngineRequest, Place
from mmedge.engines.stored import Built
from mmedge.engines.toolkit import Toolkit
from mmedge.runtime.backends.tensorrt import TensorRT
from mmedge.runtime.backends.tensorrt.cuda import Cuda

TOOLKIT = Toolkit(
    name="tensorrt",
    trt=None,
    version="10.3.0",
    driver=Driver(
        version=(12, 6),
        kernel="540.4.0",
        gpus=(Gpu(name="a stand-in", capability=(8, 7), memory_bytes=2**30, uuid=""),),
    ),
)
Shape = tuple[int, ...]


class RecordingCuda:
    """Stands for the module ``cuda.bindings.runtime``."""

    cudaStreamNonBlocking = 1  # noqa: N815

    class cudaMemcpyKind(enum.IntEnum):  # noqa: N801
        cudaMemcpyHostToDevice = 1  # noqa: N815
        cudaMemcpyDeviceToHost = 2  # noqa: N815

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.blocks: dict[int, bytearray] = {}
        self.streams: dict[int, list[tuple[set[int], Callable[[], None]]]] = {}
        self.fails: dict[str, int] = {}
        """Function -> the code that its next call gives."""
        self._next = 0x7F00_0000_0000

    @property
    def held(self) -> int:
        """Blocks and streams that were not given back."""
        return len(self.blocks) + len(self.streams)

    def cudaGetErrorString(self, code: int) -> tuple[int, bytes]:  # noqa: N802
        return 0, f"the words for {code}".encode()

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[Any, ...]:  # noqa: N802
        assert flags == self.cudaStreamNonBlocking
        if code := self._record("create"):
            return code, None
        self._next += 0x100
        self.streams[self._next] = []
        return 0, self._next

    def cudaStreamDestroy(self, stream: int) -> tuple[int]:  # noqa: N802
        if code := self._record("destroy"):
            return (code,)
        assert self.streams.pop(stream) == [], "a stream was destroyed with work on it"
        return (0,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[int]:  # noqa: N802
        code = self._record("wait")
        waiting, self.streams[stream] = self.streams[stream], []
        for _, step in waiting:
            step()
        return (code,)

    def cudaMalloc(self, size: int) -> tuple[int, int | None]:  # noqa: N802
        if code := self._record("malloc"):
            return code, None
        self._next += 0x100 * (size // 0x100 + 1)
        self.blocks[self._next] = bytearray(b"\xcd" * size)
        return 0, self._next

    def cudaFree(self, address: int) -> tuple[int]:  # noqa: N802
        if code := self._record("free"):
            return (code,)
        used = {each for steps in self.streams.values() for some, _ in steps for each in some}
        assert address not in used, "a block was freed that work on a stream uses"
        del self.blocks[address]  # a second time is a KeyError
        return (0,)

    def cudaMemcpyAsync(  # noqa: N802
        self, target: int, source: int, count: int, kind: int, stream: int
    ) -> tuple[int]:
        inward = kind == self.cudaMemcpyKind.cudaMemcpyHostToDevice
        if code := self._record("in" if inward else "out"):
            return (code,)
        if inward:
            assert count <= len(self.blocks[target])
            before = ctypes.string_at(source, count)

            def step() -> None:
                late = ctypes.string_at(source, count)
                assert late == before, "an input was changed or freed before it was copied"
                self.blocks[target][:count] = late
        else:
            assert count <= len(self.blocks[source])

            def step() -> None:
                ctypes.memmove(target, bytes(self.blocks[source][:count]), count)

        self.put(stream, {target if inward else source}, step)
        return (0,)

    def put(self, stream: int, used: set[int], step: Callable[[], None]) -> None:
        """Put work on a stream that uses these blocks."""
        self.streams[stream].append((used, step))

    def _record(self, name: str) -> int:
        self.calls.append(name)
        return self.fails.pop(name, 0)


# What ONNX Runtime calls an element type -> what TensorRT does.
DATA_TYPES = {
    "tensor(float)": "FLOAT",
    "tensor(float16)": "HALF",
    "tensor(uint8)": "UINT8",
    "tensor(int8)": "INT8",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(bool)": "BOOL",
}
NUMPY = {"FLOAT": "f4", "HALF": "f2", "UINT8": "u1", "INT8": "i1", "INT32": "i4", "INT64": "i8"}


@dataclass(frozen=True)
class DataType:
    """Stands for a member of ``DataType``."""

    name: str


class TensorIOMode(enum.Enum):
    INPUT = 1
    OUTPUT = 2


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING = "internal error", "error", "warning"


@dataclass(eq=False)
class RecordingTensorRT:
    """Stands for the module ``tensorrt``.

    Args:
        cuda: where its work goes.
        rows: that its engines take at most.
        says: what it complains of when something fails.
    """

    cuda: RecordingCuda
    rows: int = 4
    says: str = "an error of TensorRT's"
    fails: set[str] = field(default_factory=set)
    deserialised: list[bytes] = field(default_factory=list)
    alive: list[str] = field(default_factory=list)
    logger: Any = None

    ILogger = ILogger
    TensorIOMode = TensorIOMode

    def Runtime(self, logger: Any) -> _Runtime:  # noqa: N802
        self.logger = logger
        if "Runtime" in self.fails:
            logger.log(ILogger.ERROR, self.says)
            raise TypeError("pybind11::init(): factory function returned nullptr")
        return _Runtime(self)

    def refuses(self, call: str) -> bool:
        """Whether the call is to fail, after a complaint."""
        if call in self.fails:
            self.logger.log(ILogger.ERROR, self.says)
        return call in self.fails


class _Part:
    """Something of TensorRT's; it has to go before what it was made by."""

    def __init__(self, trt: RecordingTensorRT, name: str) -> None:
        self.trt = trt
        self.part = name
        trt.alive.append(name)

    def __del__(self) -> None:
        assert self.trt.alive.pop() == self.part


class _Runtime(_Part):
    def __init__(self, trt: RecordingTensorRT) -> None:
        super().__init__(trt, "runtime")
        self.DLA_core = -1

    def deserialize_cuda_engine(self, engine: bytes) -> _Engine | None:
        self.trt.deserialised.append(engine)
        return None if self.trt.refuses("deserialize_cuda_engine") else _Engine(self, engine)


class _Engine(_Part):
    def __init__(self, runtime: _Runtime, model: bytes) -> None:
        super().__init__(runtime.trt, "engine")
        self._runtime = runtime
        self.session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
        self.ins = {each.name: each for each in self.session.get_inputs()}
        self.outs = {each.name: each for each in self.session.get_outputs()}
        self.num_io_tensors = len(self.ins) + len(self.outs)

    def create_execution_context(self) -> _Context | None:
        return None if self.trt.refuses("create_execution_context") else _Context(self)

    def get_tensor_name(self, index: int) -> str:
        return str([*self.ins, *self.outs][index])

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.ins else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        kind = {**self.ins, **self.outs}[name].type
        return DataType(DATA_TYPES.get(kind, kind))

    def get_tensor_shape(self, name: str) -> Shape:
        return self._sized(name, -1)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Shape]:
        assert profile_index == 0
        assert name in self.ins
        return [self._sized(name, rows) for rows in (1, 1, self.trt.rows)]

    def _sized(self, name: str, batch: int) -> Shape:
        shape = {**self.ins, **self.outs}[name].shape
        return tuple(size if isinstance(size, int) else batch for size in shape)


class _Context(_Part):
    def __init__(self, engine: _Engine) -> None:
        super().__init__(engine.trt, "context")
        self._engine = engine
        self._shapes: dict[str, Shape] = {}
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: Shape) -> bool:
        least, _, most = self._engine.get_tensor_profile_shape(name, 0)
        self._shapes[name] = tuple(shape)
        fits = all(a <= b <= c for a, b, c in zip(least, shape, most, strict=True))
        return fits and not self.trt.refuses("set_input_shape")

    def get_tensor_shape(self, name: str) -> Shape:
        """The shape that an output is going to have: here by computing it once on zeros."""
        feeds = {each: np.zeros(self._shapes[each], self._dtype(each)) for each in self._engine.ins}
        return tuple(self._engine.session.run([name], feeds)[0].shape)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return memory in self.trt.cuda.blocks

    def execute_async_v3(self, stream_handle: int) -> bool:
        self.trt.cuda.calls.append("execute")
        if self.trt.refuses("execute_async_v3"):
            return False
        addresses = dict(self._addresses)
        self.trt.cuda.put(stream_handle, set(addresses.values()), lambda: self._compute(addresses))
        return True

    def _compute(self, addresses: dict[str, int]) -> None:
        blocks = self.trt.cuda.blocks
        feeds = {}
        for name in self._engine.ins:
            shape = self._shapes[name]
            content = bytes(blocks[addresses[name]])
            array = np.frombuffer(content, self._dtype(name), int(np.prod(shape)))
            feeds[name] = array.reshape(shape)
        outs = list(self._engine.outs)
        for name, array in zip(outs, self._engine.session.run(outs, feeds), strict=True):
            blocks[addresses[name]][: array.nbytes] = array.tobytes()

    def _dtype(self, name: str) -> np.dtype[Any]:
        return np.dtype(NUMPY.get(self._engine.get_tensor_dtype(name).name, "?"))


class Recorded(TensorRT):
    """TensorRT's backend where `stand_in` has put the stand-ins; its engine is there already."""

    def __init__(self, model: bytes, *, what: str, **options: Any) -> None:
        keep(model)
        super().__init__(model, what=what, **options)


def stand_in(patch: pytest.MonkeyPatch, folder: Path, **options: Any) -> RecordingTensorRT:
    """Put the stand-ins where CUDA and TensorRT would be, and a cache of their own."""
    cuda = RecordingCuda()
    trt = RecordingTensorRT(cuda, **options)
    toolkit = replace(TOOLKIT, trt=trt)
    patch.setattr("mmedge.runtime.backends.tensorrt.open_toolkit", lambda _: toolkit)
    patch.setattr("mmedge.runtime.backends.tensorrt.open_cuda", lambda _: Cuda(cuda, "12.6"))
    patch.setenv("MMEDGE_CACHE", str(folder))
    return trt


def keep(model: bytes, **flags: Any) -> None:
    """Put the stand-in's engine of a graph into the cache, as ``mmedge build`` would."""
    request = EngineRequest(
        graph="ant",
        model_sha256=hashlib.sha256(model).hexdigest(),
        plan="fp32",
        profile={},
        flags=flags,
        place=Place.of(TOOLKIT),
    )
    EngineCache().engine(request, lambda: Built(engine=bytes(bytearray(model)), about={}))
