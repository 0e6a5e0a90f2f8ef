"""Backends: what runs one graph. One file each, one line in the table below."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from mmedge.errors import ConfigError
from mmedge.onnx_file import check_onnx
from mmedge.specs import GraphSpec

__all__ = ["BACKENDS", "PACKAGES", "Arrays", "Backend", "backend_class", "open_backend"]

Arrays = Mapping[str, NDArray[np.generic]]

BACKENDS = {
    "cpu": "mmedge.runtime.backends.onnxruntime_cpu:OnnxRuntimeCpu",
    "cuda": "mmedge.runtime.backends.onnxruntime_gpu:OnnxRuntimeCuda",
    "onnxruntime-tensorrt": "mmedge.runtime.backends.onnxruntime_gpu:OnnxRuntimeTensorRT",
    "openvino": "mmedge.runtime.backends.openvino:OpenVino",
    "tensorrt": "mmedge.runtime.backends.tensorrt:TensorRT",
    "tensorrt-rtx": "mmedge.runtime.backends.tensorrt:TensorRTRtx",
}
"""Name that the user gives -> where it is implemented; only the chosen one is imported."""
PACKAGES = {
    "cpu": ("onnxruntime", "onnxruntime-gpu"),
    "cuda": ("onnxruntime-gpu",),
    "onnxruntime-tensorrt": ("onnxruntime-gpu", "tensorrt"),
    "openvino": ("openvino",),
    "tensorrt": ("tensorrt", "cuda-bindings"),
    "tensorrt-rtx": ("tensorrt-rtx", "cuda-bindings"),
}
"""Backend -> the packages whose versions its numbers and its speed hang on."""


class Backend(Protocol):
    """Runs one graph; arrays go in and out by tensor name.

    ``kind`` is the class of arithmetic that tolerances are stored for. A backend holds
    memory or a device: close it, or use it in a ``with``.
    """

    kind: Literal["cpu", "gpu"]

    @property
    def spec(self) -> GraphSpec:
        """Inputs and outputs of the graph."""
        ...

    def run(self, feeds: Arrays) -> dict[str, NDArray[np.generic]]:
        """Run once, with any batch; the outputs belong to the caller."""
        ...

    def close(self) -> None:
        """Give back what it holds; running afterwards is an error."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


def backend_class(name: str) -> Callable[..., Backend]:
    """Find a backend by name.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in BACKENDS:
        raise ConfigError(f"there is no backend {name!r}; choose one of {', '.join(BACKENDS)}")
    module, _, attribute = BACKENDS[name].partition(":")
    found: Callable[..., Backend] = getattr(importlib.import_module(module), attribute)
    return found


def open_backend(
    name: str,
    model: bytes,
    *,
    what: str,
    threads: int | None = None,
    spin: bool = True,
    simulate: bool = False,
) -> Backend:
    """Open a graph with the backend of that name.

    Args:
        name: a key of `BACKENDS`.
        model: the ONNX file's bytes.
        what: the graph, for error messages.
        threads: CPU threads inside one operator; ``None`` leaves it to the backend.
        spin: its threads wait busily for the next operator.
        simulate: compute quantised layers in float between their roundings, as a plan for
            TensorRT is proven without one.

    Raises:
        ConfigError: no such backend.
        ArtefactError: not an ONNX file, or one that no bundle may hold.
        IncompatibleError: it cannot run here, or not this graph.
    """
    check_onnx(model, what)
    return backend_class(name)(model, what=what, threads=threads, spin=spin, simulate=simulate)
