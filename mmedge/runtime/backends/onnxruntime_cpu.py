"""ONNX Runtime on the CPU: the reference of all other backends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from mmedge._closing import Closing
from mmedge._optional import require
from mmedge.errors import ArtefactError, ConfigError, IncompatibleError
from mmedge.manifest import first_complaint
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


class OnnxRuntimeCpu(Closing):
    """One session of ONNX Runtime's CPU provider."""

    kind: Literal["cpu", "gpu"] = "cpu"

    def __init__(
        self,
        model: bytes,
        *,
        what: str,
        threads: int | None = None,
        spin: bool = True,
        simulate: bool = False,
    ) -> None:
        ort = require("onnxruntime", extra="cpu|gpu", why="the backend 'cpu'")
        options = ort.SessionOptions()
        options.log_severity_level = 4  # warnings are about its own optimiser; errors are raised
        options.add_session_config_entry("session.load_model_format", "ONNX")
        # A pattern, one block for all that lies between inputs and outputs, comes on top of what
        # the first run took piece by piece: twice the memory, and no faster.
        options.enable_mem_pattern = False
        if not spin:
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if simulate:  # its own INT8 kernels may saturate where the plan's target does not
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as exc:  # its exceptions have no common base but this
            raise _cannot_load(what, ort.__version__, exc) from exc
        # It keeps the file's bytes for a retry with other providers, of which there are none.
        session.disable_fallback()
        vars(session).pop("_model_bytes", None)
        self._session: Any = session
        self._what = what
        try:
            self._spec = GraphSpec(
                inputs=tuple(_spec(arg, what) for arg in session.get_inputs()),
                outputs=tuple(_spec(arg, what) for arg in session.get_outputs()),
            )
            self._names = [spec.name for spec in self._spec.outputs]
            self._wanted = {s.name: (np.dtype(s.dtype), s.shape[1:]) for s in self._spec.inputs}
        except ValidationError as exc:
            raise ArtefactError(
                f"{what} has inputs or outputs that no bundle holds: {first_complaint(exc)}"
            ) from exc

    @property
    def spec(self) -> GraphSpec:
        """Inputs and outputs of the graph."""
        return self._spec

    def run(self, feeds: Arrays) -> dict[str, NDArray[np.generic]]:
        """Run once, with any batch.

        Raises:
            ConfigError: an input is missing, unknown, or of another type or shape.
            ArtefactError: the graph fails on inputs that fit its signature.
        """
        if self._session is None:
            raise RuntimeError(f"{self._what} was closed; open it again to run it")
        if not _fits(feeds, self._wanted):
            check_feeds(self._what, self._spec, feeds)
        batch = len(next(iter(feeds.values())))
        try:
            arrays = self._session.run(self._names, feeds)
        except Exception as exc:  # its exceptions have no common base but this
            raise ArtefactError(
                f"{self._what} fails on a batch of {batch}: {_reason(exc)}. Export it again."
            ) from exc
        outputs = dict(zip(self._names, arrays, strict=True))
        check_results(self._what, self._spec, outputs, batch)
        return outputs

    def close(self) -> None:
        """Give the session's memory back."""
        self._session = None


def _fits(feeds: Arrays, wanted: Mapping[str, tuple[np.dtype[Any], tuple[int | str, ...]]]) -> bool:
    """Tell in a few microseconds whether `check_feeds` would find nothing."""
    if feeds.keys() != wanted.keys():
        return False
    batch = next(iter(feeds.values())).shape[:1]
    for name, (dtype, rest) in wanted.items():
        array = feeds[name]
        if array.dtype != dtype or array.shape != batch + rest:
            return False
    return batch not in ((), (0,))


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
        # Not by name: a float32 of the other byte order would be read as other numbers.
        if array.dtype != np.dtype(want.dtype) or array.shape[1:] != want.shape[1:]:
            raise ConfigError(
                f"{what}: input {name!r} is {array.dtype}{array.shape}, but the graph "
                f"expects {want.dtype}({', '.join(map(str, want.shape))})"
            )


def check_results(what: str, spec: GraphSpec, outputs: Arrays, batch: int) -> None:
    """Refuse outputs of another shape than a graph declares, such as one of a fixed batch."""
    for each in spec.outputs:
        shape = outputs[each.name].shape
        if shape != (batch, *each.shape[1:]):
            raise ArtefactError(
                f"{what} gives {each.name!r} the shape {shape} for a batch of {batch}, but "
                f"declares ({', '.join(map(str, each.shape))}). Export it again."
            )


def _spec(arg: Any, what: str) -> TensorSpec:
    if arg.type not in _DTYPES:
        raise ArtefactError(f"{what}: {arg.name!r} has type {arg.type}, which no bundle holds")
    if arg.shape and isinstance(arg.shape[0], int):
        raise ArtefactError(
            f"{what}: {arg.name!r} has shape {arg.shape}: its batch is fixed. Export it again "
            "with a batch that may vary."
        )
    rest = [size for size in arg.shape[1:] if isinstance(size, int)]
    if len(rest) != len(arg.shape) - 1 or not arg.shape:
        raise ArtefactError(
            f"{what}: {arg.name!r} has shape {arg.shape}; only the batch may be dynamic"
        )
    return TensorSpec(name=arg.name, dtype=_DTYPES[arg.type], shape=("batch", *rest))


def _cannot_load(what: str, version: str, exc: Exception) -> Exception:
    reason = _reason(exc)
    if "InvalidProtobuf" in type(exc).__name__ or "No graph was found" in reason:
        return ArtefactError(f"{what} is not an ONNX file: {reason}")
    return IncompatibleError(
        f"ONNX Runtime {version} cannot load {what}: {reason}. "
        "Was the bundle made by a newer mmedge? Upgrade onnxruntime."
    )


def _reason(exc: Exception) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0][:300]
