"""ONNX Runtime on the CPU: the reference of all other backends."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from mmedge._optional import require
from mmedge.errors import ArtefactError, ConfigError, IncompatibleError
from mmedge.runtime.backends import Arrays
from mmedge.specs import DType, GraphSpec, TensorSpec

__all__ = ["OnnxRuntimeCpu"]

_DTYPES: dict[str, DType] = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


class OnnxRuntimeCpu:
    """One session of ONNX Runtime's CPU provider."""

    kind: Literal["cpu", "gpu"] = "cpu"

    def __init__(self, model: bytes, *, what: str, threads: int | None = None) -> None:
        ort = require("onnxruntime", extra="cpu|gpu", why="the backend 'cpu'")
        options = ort.SessionOptions()
        options.log_severity_level = 3  # its warnings are about its own optimiser
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as exc:  # its exceptions have no common base but this
            raise _cannot_load(what, ort.__version__, exc) from exc
        self._session: Any = session
        self._what = what
        self._spec = GraphSpec(
            inputs=tuple(_spec(arg, what) for arg in session.get_inputs()),
            outputs=tuple(_spec(arg, what) for arg in session.get_outputs()),
        )

    @property
    def spec(self) -> GraphSpec:
        """Inputs and outputs of the graph."""
        return self._spec

    def run(self, feeds: Arrays) -> dict[str, NDArray[np.generic]]:
        """Run once, with any batch.

        Raises:
            ConfigError: an input is missing, unknown, or of another type or shape.
        """
        check_feeds(self._what, self._spec, feeds)
        names = [spec.name for spec in self._spec.outputs]
        return dict(zip(names, self._session.run(names, dict(feeds)), strict=True))

    def close(self) -> None:
        """Give the session's memory back."""
        self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def check_feeds(what: str, spec: GraphSpec, feeds: Arrays) -> None:
    """Refuse feeds that do not fit a graph's inputs, in words about the graph."""
    expected = {each.name: each for each in spec.inputs}
    if set(feeds) != set(expected):
        raise ConfigError(f"{what} takes the inputs {sorted(expected)}, but got {sorted(feeds)}")
    batches = {name: array.shape[:1] for name, array in feeds.items()}
    if len(set(batches.values())) != 1 or 0 in next(iter(batches.values())):
        raise ConfigError(f"{what}: the inputs' batches differ or are empty: {batches}")
    for name, array in feeds.items():
        want = expected[name]
        if array.dtype.name != want.dtype or array.shape[1:] != want.shape[1:]:
            raise ConfigError(
                f"{what}: input {name!r} is {array.dtype.name}{array.shape}, but the graph "
                f"expects {want.dtype}({', '.join(map(str, want.shape))})"
            )


def _spec(arg: Any, what: str) -> TensorSpec:
    if arg.type not in _DTYPES:
        raise ArtefactError(f"{what}: {arg.name!r} has type {arg.type}, which no bundle holds")
    rest = [size for size in arg.shape[1:] if isinstance(size, int)]
    if len(rest) != len(arg.shape) - 1 or not arg.shape:
        raise ArtefactError(
            f"{what}: {arg.name!r} has shape {arg.shape}; only the batch may be dynamic"
        )
    return TensorSpec(name=arg.name, dtype=_DTYPES[arg.type], shape=("batch", *rest))


def _cannot_load(what: str, version: str, exc: Exception) -> Exception:
    reason = str(exc).splitlines()[0][:300]
    if "InvalidProtobuf" in type(exc).__name__:
        return ArtefactError(f"{what} is not an ONNX file: {reason}")
    return IncompatibleError(
        f"ONNX Runtime {version} cannot load {what}: {reason}. "
        "Was the bundle made by a newer mmedge? Upgrade onnxruntime."
    )
