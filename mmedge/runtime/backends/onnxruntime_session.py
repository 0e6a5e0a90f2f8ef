"""Sessions of ONNX Runtime, whichever of its providers computes."""

from __future__ import annotations

from typing import Any

from mmedge._memory import lacks_memory
from mmedge.errors import ArtefactError, IncompatibleError
from mmedge.runtime.backends.opened import no_memory
from mmedge.runtime.backends.signature import graph_spec, tensor_spec
from mmedge.specs import DType, GraphSpec, TensorSpec

__all__ = ["cannot_load", "make_options", "reason_of", "spec_of"]

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


def spec_of(session: Any, what: str) -> GraphSpec:
    """Read the inputs and outputs of a session's graph.

    Raises:
        ArtefactError: no bundle holds a graph with such ones.
    """
    return graph_spec(
        what,
        (_spec(arg, what) for arg in session.get_inputs()),
        (_spec(arg, what) for arg in session.get_outputs()),
    )


def _spec(arg: Any, what: str) -> TensorSpec:
    return tensor_spec(what, arg.name, arg.shape, arg.type, _DTYPES)


def cannot_load(what: str, version: str, exc: Exception) -> Exception:
    """Put into words why a session could not be made."""
    reason = reason_of(exc)
    if lacks_memory(str(exc)):
        return no_memory(what, "cpu", reason)
    if "InvalidProtobuf" in type(exc).__name__ or "No graph was found" in reason:
        return ArtefactError(f"{what} is not an ONNX file: {reason}")
    return IncompatibleError(
        f"ONNX Runtime {version} cannot load {what}: {reason}. "
        "Was the bundle made by a newer mmedge? Upgrade onnxruntime."
    )


def reason_of(exc: Exception) -> str:
    """Give the line that tells."""
    return (str(exc).splitlines() or [type(exc).__name__])[0][:300]
