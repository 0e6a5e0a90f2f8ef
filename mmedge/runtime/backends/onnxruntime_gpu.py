"""ONNX Runtime on an NVIDIA GPU, by its providers for CUDA and for TensorRT; nothing on the CPU.

Of its own accord ONNX Runtime computes on the CPU whatever its provider does not take, or all of
it where the provider cannot be loaded: that is disabled, and the session is asked what it got.
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

from mmedge._optional import require
from mmedge.engines.driver import probe
from mmedge.engines.profiles import MAX_BATCH
from mmedge.errors import ArtefactError, IncompatibleError
from mmedge.runtime.backends import Arrays
from mmedge.runtime.backends.onnxruntime_session import (
    OnnxRuntimeSession,
    cannot_load,
    make_options,
    reason_of,
)
from mmedge.runtime.backends.tables import check_indices, tables_of
from mmedge.specs import GraphSpec

__all__ = ["OnnxRuntimeCuda", "OnnxRuntimeTensorRT"]

_CUDA, _TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
_CUDA_OPTIONS = {"use_tf32": "0"}  # it rounds factors to 10 bits: no float32
_LIBRARIES = {_CUDA: "onnxruntime_providers_cuda", _TENSORRT: "onnxruntime_providers_tensorrt"}


class OnnxRuntimeCuda(OnnxRuntimeSession):
    """One session of ONNX Runtime's CUDA provider."""

    kind: Literal["cpu", "gpu"] = "gpu"
    name: ClassVar[str] = "cuda"
    provider: ClassVar[str] = _CUDA

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
        if self.provider not in ort.get_available_providers():
            raise IncompatibleError(
                f"the onnxruntime {ort.__version__} here has no {self.provider}: it is the package "
                "for CPUs. Install the other in its place: pip uninstall onnxruntime, then pip "
                "install 'mmedge[gpu]'; on a Jetson, NVIDIA's own."
            )
        _prepare(ort)
        options = make_options(ort, threads=threads, spin=spin, simulate=simulate)
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        providers = self._providers(ort, model, what)
        try:
            session = ort.InferenceSession(
                model, options, providers=list(providers.items()), enable_fallback=0
            )
        except Exception as exc:  # its exceptions have no common base but this
            raise self._refused(ort, what, reason_of(exc)) from exc
        if session.get_providers()[:1] != [self.provider]:
            raise self._refused(ort, what, f"it computes by {session.get_providers()}")
        super().__init__(session, what)
        self._tables = tables_of(model)

    def run(self, feeds: Arrays) -> dict[str, NDArray[np.generic]]:
        """Run once, with any batch; raises as `OnnxRuntimeSession.run`."""
        self._check(feeds)
        try:
            check_indices(self._tables, feeds)
        except ValueError as exc:  # a GPU would read zeros there
            batch = len(next(iter(feeds.values())))
            raise ArtefactError(
                f"{self._what} fails on a batch of {batch}: {exc}. Export it again."
            ) from exc
        return super().run(feeds)

    def _providers(self, ort: Any, model: bytes, what: str) -> dict[str, Mapping[str, str]]:
        return {_CUDA: _CUDA_OPTIONS}

    def _refused(self, ort: Any, what: str, why: str) -> IncompatibleError:
        if missing := _missing_library(ort, self.provider):
            return IncompatibleError(
                f"ONNX Runtime {ort.__version__} cannot load its {self.provider}: {missing}. It "
                "needs the CUDA, cuDNN and TensorRT that it was made for; 'mmedge doctor' compares "
                "them."
            )
        return IncompatibleError(
            f"ONNX Runtime {ort.__version__} cannot compute {what} by its {self.provider} alone: "
            f"{why}. Take --backend tensorrt, or --backend cpu."
        )


class OnnxRuntimeTensorRT(OnnxRuntimeCuda):
    """One session of ONNX Runtime's TensorRT provider; what that does not take, CUDA computes.

    It builds its engine whenever it is opened, and keeps none: engines that are kept must be
    authenticated before they are loaded, and ONNX Runtime would not.
    """

    name: ClassVar[str] = "onnxruntime-tensorrt"
    provider: ClassVar[str] = _TENSORRT

    def run(self, feeds: Arrays) -> dict[str, NDArray[np.generic]]:
        """Run in pieces of as many rows as the engine was built for."""
        self._check(feeds)
        batch = len(next(iter(feeds.values())))
        parts = [
            super(OnnxRuntimeTensorRT, self).run(
                {name: array[begin : begin + MAX_BATCH] for name, array in feeds.items()}
            )
            for begin in range(0, batch, MAX_BATCH)
        ]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._names}

    def _providers(self, ort: Any, model: bytes, what: str) -> dict[str, Mapping[str, str]]:
        spec = _read_spec(ort, model, what)
        sizes = {"min": 1, "opt": 1, "max": MAX_BATCH}
        shapes = {
            f"trt_profile_{which}_shapes": ",".join(
                f"{each.name}:{'x'.join(map(str, (rows, *each.shape[1:])))}" for each in spec.inputs
            )
            for which, rows in sizes.items()
        }
        return {_TENSORRT: shapes, _CUDA: _CUDA_OPTIONS}


@cache
def _prepare(ort: Any) -> None:
    """Have NVIDIA's libraries found where pip puts them, and errors told by us only; once."""
    ort.set_default_logger_severity(4)
    if hasattr(ort, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):  # it prints, and stdout is for results
            ort.preload_dlls()


def _read_spec(ort: Any, model: bytes, what: str) -> GraphSpec:
    """Read a graph's inputs and outputs, without making it ready to run."""
    options = make_options(ort, threads=1, spin=False, simulate=False)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # its exceptions have no common base but this
        raise cannot_load(what, ort.__version__, exc) from exc
    with OnnxRuntimeSession(session, what) as read:
        return read.spec


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
