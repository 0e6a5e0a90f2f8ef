"""What a session of ONNX Runtime does, whichever of its providers computes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge._closing import Closing
from mmedge.errors import ArtefactError, IncompatibleError
from mmedge.runtime.backends import Arrays
from mmedge.runtime.backends.signature import (
    check_feeds,
    check_results,
    fits,
    graph_spec,
    tensor_spec,
    wanted_of,
)
from mmedge.specs import DType, GraphSpec, TensorSpec

__all__ = ["OnnxRuntimeSession", "cannot_load", "make_options", "reason_of"]

_DTYPES: dict[str, DType] = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


def make_options(ort: Any, *, threads: int | None, spin: bool, simulate: bool) -> Any:
    """Make a session's options; arguments as for `mmedge.runtime.backends.open_backend`."""
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
    return options


class OnnxRuntimeSession(Closing):
    """One session.

    Args:
        session: of ONNX Runtime's.
        what: the graph, for error messages.

    Raises:
        ArtefactError: no bundle holds a graph with such inputs and outputs.
    """

    def __init__(self, session: Any, what: str) -> None:
        # It keeps the file's bytes for a retry with other providers, of which there are none.
        session.disable_fallback()
        vars(session).pop("_model_bytes", None)
        self._session: Any = session
        self._what = what
        self._spec = graph_spec(
            what,
            (_spec(arg, what) for arg in session.get_inputs()),
            (_spec(arg, what) for arg in session.get_outputs()),
        )
        self._names = [spec.name for spec in self._spec.outputs]
        self._wanted = wanted_of(self._spec)

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
        self._check(feeds)
        batch = len(next(iter(feeds.values())))
        try:
            arrays = self._session.run(self._names, feeds)
        except Exception as exc:  # its exceptions have no common base but this
            raise ArtefactError(
                f"{self._what} fails on a batch of {batch}: {reason_of(exc)}. Export it again."
            ) from exc
        outputs = dict(zip(self._names, arrays, strict=True))
        check_results(self._what, self._spec, outputs, batch)
        return outputs

    def close(self) -> None:
        """Give the session's memory back."""
        self._session = None

    def _check(self, feeds: Arrays) -> None:
        if self._session is None:
            raise RuntimeError(f"{self._what} was closed; open it again to run it")
        if not fits(feeds, self._wanted):
            check_feeds(self._what, self._spec, feeds)


def _spec(arg: Any, what: str) -> TensorSpec:
    return tensor_spec(what, arg.name, arg.shape, arg.type, _DTYPES)


def cannot_load(what: str, version: str, exc: Exception) -> Exception:
    """Put into words why a session could not be made."""
    reason = reason_of(exc)
    if "InvalidProtobuf" in type(exc).__name__ or "No graph was found" in reason:
        return ArtefactError(f"{what} is not an ONNX file: {reason}")
    return IncompatibleError(
        f"ONNX Runtime {version} cannot load {what}: {reason}. "
        "Was the bundle made by a newer mmedge? Upgrade onnxruntime."
    )


def reason_of(exc: Exception) -> str:
    """Give the line that tells."""
    return (str(exc).splitlines() or [type(exc).__name__])[0][:300]
