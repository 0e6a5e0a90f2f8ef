"""OpenVINO on the CPU: float32 as on paper, whatever the processor would rather compute in.

On CPUs with AMX or BF16 it computes float32 graphs in BF16 unless told not to; here it is told,
and asked whether it does. An index beyond its table, such as a token's that the model has no
embedding for, gives zeros and no error, and GatherND what lies there in memory: such indices are
looked for in the inputs, see `mmedge.runtime.backends.tables`.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmedge._memory import lacks_memory
from mmedge._optional import require
from mmedge.errors import IncompatibleError
from mmedge.runtime.backends import Arrays
from mmedge.runtime.backends.opened import Opened, no_memory
from mmedge.runtime.backends.signature import graph_spec, tensor_spec
from mmedge.runtime.backends.tables import tables_of
from mmedge.specs import DType, TensorSpec

__all__ = ["OpenVino"]

_DTYPES: dict[str, DType] = {
    "f32": "float32",
    "f16": "float16",
    "u8": "uint8",
    "i8": "int8",
    "i32": "int32",
    "i64": "int64",
    "boolean": "bool",
}
_PRECISION = "INFERENCE_PRECISION_HINT"
# One request at a time, as `run` asks; none of what makes language models smaller and inexact.
_OPTIONS: dict[str, Any] = {
    _PRECISION: "f32",
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": 1,
    "ENABLE_CPU_PINNING": False,  # the graphs of other modalities run at the same time
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
}


class OpenVino(Opened):
    """One compiled model of OpenVINO's CPU plugin, and its one request.

    Its threads never wait busily, whatever ``spin`` says.
    """

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
        ov = require("openvino", extra="openvino", why="the backend 'openvino'")
        if simulate:
            raise IncompatibleError(
                f"{what}: OpenVINO computes what is quantised in its own integers and imitates no "
                "other's. Take --backend cpu."
            )
        options = {**_OPTIONS, **({} if threads is None else {"INFERENCE_NUM_THREADS": threads})}
        try:
            core = ov.Core()
            graph = core.read_model(model)
            compiled = core.compile_model(graph, "CPU", options)
        except RuntimeError as exc:
            why = _reason(exc)
            if lacks_memory(str(exc)):
                raise no_memory(what, "cpu", why) from exc
            raise IncompatibleError(
                f"OpenVINO {ov.__version__} cannot load {what}: {why}. Take --backend cpu."
            ) from exc
        precision = compiled.get_property(_PRECISION).get_type_name()
        if precision != "f32":
            raise IncompatibleError(
                f"OpenVINO {ov.__version__} computes {what} in {precision} though f32 was asked "
                "for. Take --backend cpu."
            )
        spec = graph_spec(
            what,
            (_spec(node, what) for node in graph.get_parameters()),
            (_spec(node, what) for node in graph.get_results()),
        )
        super().__init__(what, spec, tables_of(model))
        self._request: Any = compiled.create_infer_request()

    def _run(self, feeds: Arrays, batch: int) -> dict[str, NDArray[np.generic]]:
        try:
            given = [np.ascontiguousarray(feeds[name]) for name in self._wanted]
            results = self._request.infer(given, share_inputs=True)
        except (RuntimeError, ValueError) as exc:
            raise self._failed(batch, exc, _reason(exc)) from exc
        return dict(zip(self._names, results.values(), strict=True))

    def _release(self) -> None:
        self._request = None


def _spec(node: Any, what: str) -> TensorSpec:
    """Read a parameter, or a result: its tensor may have more names than that in the file."""
    name = node.get_friendly_name().removesuffix("/sink_port_0")
    port = node.output(0)
    sizes = [None if each.is_dynamic else each.get_length() for each in port.partial_shape]
    return tensor_spec(what, name, sizes, port.element_type.get_type_name(), _DTYPES)


def _reason(exc: Exception) -> str:
    """Find the line that tells: it begins with where in its source, and ends with blank ones."""
    lines = [line.strip() for line in str(exc).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Exception from", "Check '"))]
    return (told or [type(exc).__name__])[0].rstrip(".")[:300]
