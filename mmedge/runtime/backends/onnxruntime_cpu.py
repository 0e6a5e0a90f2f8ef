"""ONNX Runtime on the CPU: the reference of all other backends."""

from __future__ import annotations

from typing import Literal

from mmedge._optional import require
from mmedge.runtime.backends.onnxruntime_session import (
    OnnxRuntimeSession,
    cannot_load,
    make_options,
)

__all__ = ["OnnxRuntimeCpu"]


class OnnxRuntimeCpu(OnnxRuntimeSession):
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
        options = make_options(ort, threads=threads, spin=spin, simulate=simulate)
        try:
            session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as exc:  # its exceptions have no common base but this
            raise cannot_load(what, ort.__version__, exc) from exc
        super().__init__(session, what)
