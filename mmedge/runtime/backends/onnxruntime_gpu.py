"""ONNX Runtime on an NVIDIA GPU, by its providers for CUDA and for TensorRT; nothing on the CPU.

Of its own accord ONNX Runtime computes on the CPU whatever its provider does not take, or all of
it where the provider cannot be loaded: that is disabled, and the session is asked what it got.
It also puts on the CPU, always, what computes shapes, and then refuses the graph (ONNX Runtime's
issue 17930). With a batch that is fixed those are constants and fold away: so there is a session
for one row, and one for `ROWS`.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from mmedge._memory import lacks_memory
from mmedge._optional import require
from mmedge.engines.driver import probe
from mmedge.errors import IncompatibleError
from mmedge.runtime.backends import Arrays
from mmedge.runtime.backends.onnxruntime_session import (
    cannot_load,
    make_options,
    reason_of,
    spec_of,
)
from mmedge.runtime.backends.opened import Opened, no_memory
from mmedge.runtime.backends.tables import tables_of
from mmedge.specs import GraphSpec

__all__ = ["ROWS", "OnnxRuntimeCuda", "OnnxRuntimeTensorRT"]

Array = NDArray[np.generic]

ROWS = 8
"""Rows of the session for more than one; what is left of a batch is filled up with its first."""

_CUDA, _TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
_LIBRARIES = {_CUDA: "onnxruntime_providers_cuda", _TENSORRT: "onnxruntime_providers_tensorrt"}
_CUDA_OPTIONS = {"use_tf32": "0"}  # it rounds factors to 10 bits: no float32


class OnnxRuntimeCuda(Opened):
    """Two sessions of ONNX Runtime's CUDA provider. The CPU's threads are none of its business."""

    kind: Literal["cpu", "gpu"] = "gpu"
    name: ClassVar[str] = "cuda"
    providers: ClassVar[Mapping[str, Mapping[str, str]]] = {_CUDA: _CUDA_OPTIONS}

    def __init__(
        self,
        model: bytes,
        *,
        what: str,
        threads: int | None = None,
        spin: bool = True,
        simulate: bool = False,
    ) -> None:
        probe()  # before anything that would load CUDA
        ort = require("onnxruntime", extra="gpu", why=f"the backend {self.name!r}")
        provider = next(iter(self.providers))
        if provider not in ort.get_available_providers():
            raise IncompatibleError(
                f"the onnxruntime {ort.__version__} here has no {provider}: it is the package for "
                "CPUs. Install the other in its place: pip uninstall onnxruntime, then pip install "
                "'mmedge[gpu]'; on a Jetson, NVIDIA's own."
            )
        _prepare(ort)
        spec, batches = _read(ort, model, what)
        super().__init__(what, spec, tables_of(model))  # a GPU would read zeros beyond a table
        self._sessions: dict[int, Any] = {}
        for rows in (1, ROWS):
            options = make_options(ort, threads=threads, spin=spin, simulate=simulate)
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
            for batch in batches:
                options.add_free_dimension_override_by_name(batch, rows)
            self._sessions[rows] = self._open(ort, model, options)

    def _run(self, feeds: Arrays, batch: int) -> dict[str, Array]:
        rows = 1 if batch == 1 else ROWS
        try:
            pieces = [
                self._sessions[rows].run(self._names, _piece(feeds, begin, rows))
                for begin in range(0, batch, rows)
            ]
        except Exception as exc:  # its exceptions have no common base but this
            raise self._failed(batch, exc, reason_of(exc)) from exc
        return {
            name: parts[0] if batch == rows else np.concatenate(parts)[:batch]
            for name, parts in zip(self._names, zip(*pieces, strict=True), strict=True)
        }

    def _release(self) -> None:
        self._sessions = {}

    def _open(self, ort: Any, model: bytes, options: Any) -> Any:
        provider = next(iter(self.providers))
        try:
            session = ort.InferenceSession(
                model, options, providers=list(self.providers.items()), enable_fallback=0
            )
        except Exception as exc:  # its exceptions have no common base but this
            why = reason_of(exc)
            if lacks_memory(str(exc)):
                raise no_memory(self._what, self.kind, why) from exc
            raise self._refused(ort, provider, why) from exc
        vars(session).pop("_model_bytes", None)  # kept for a retry, which is disabled
        if session.get_providers()[:1] != [provider]:
            raise self._refused(ort, provider, f"it computes by {session.get_providers()}")
        return session

    def _refused(self, ort: Any, provider: str, why: str) -> IncompatibleError:
        if missing := _missing_library(ort, provider):
            return IncompatibleError(
                f"ONNX Runtime {ort.__version__} cannot load its {provider}: {missing}. It needs "
                "the CUDA, cuDNN and TensorRT that it was made for; 'mmedge doctor' compares them."
            )
        return IncompatibleError(
            f"ONNX Runtime {ort.__version__} cannot compute {self._what} by its {provider} alone: "
            f"{why}. Take --backend tensorrt, or --backend cpu."
        )


class OnnxRuntimeTensorRT(OnnxRuntimeCuda):
    """Two sessions of ONNX Runtime's TensorRT provider; what that does not take, CUDA computes.

    They build their engines whenever they are opened, and keep none: engines that are kept must
    be authenticated before they are loaded, and ONNX Runtime would not.
    """

    name: ClassVar[str] = "onnxruntime-tensorrt"
    providers: ClassVar[Mapping[str, Mapping[str, str]]] = {_TENSORRT: {}, _CUDA: _CUDA_OPTIONS}


def _piece(feeds: Arrays, begin: int, rows: int) -> dict[str, Array]:
    """Cut so many rows; what is lacking is the first of them again, which changes nothing else."""
    piece = {}
    for name, array in feeds.items():
        some = array[begin : begin + rows]
        lacking = rows - len(some)
        more = np.repeat(some[:1], lacking, axis=0)
        piece[name] = np.concatenate([some, more]) if lacking else some
    return piece


@cache
def _prepare(ort: Any) -> None:
    """Have NVIDIA's libraries found where pip puts them, and errors told by us only; once."""
    ort.set_default_logger_severity(4)
    if hasattr(ort, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):  # it prints, and stdout is for results
            ort.preload_dlls()


def _read(ort: Any, model: bytes, what: str) -> tuple[GraphSpec, set[str]]:
    """Read a graph's inputs and outputs, and what its batch is called, without preparing a run."""
    options = make_options(ort, threads=1, spin=False, simulate=False)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # its exceptions have no common base but this
        raise cannot_load(what, ort.__version__, exc) from exc
    return spec_of(session, what), {str(each.shape[0]) for each in session.get_inputs()}


def _missing_library(ort: Any, provider: str) -> str:
    """Say what keeps a provider from being loaded, after ONNX Runtime has tried: not before.

    It prepares what the provider's library asks for when it is loaded.
    """
    stem = _LIBRARIES[provider]
    name = f"{stem}.dll" if os.name == "nt" else f"lib{stem}.so"
    file = Path(ort.__file__).parent / "capi" / name
    if not file.is_file():
        return ""
    try:
        ctypes.CDLL(str(file))
    except OSError as exc:
        return str(exc)
    return ""
