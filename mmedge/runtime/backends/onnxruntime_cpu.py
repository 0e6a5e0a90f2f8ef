"""ONNX Runtime on the CPU: the reference of all other backends."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmedge._optional import require
from mmedge.runtime.backends import Arrays
from mmedge.runtime.backends.onnxruntime_session import (
    cannot_load,
    make_options,
    reason_of,
    spec_of,
)
from mmedge.runtime.backends.opened import Opened

__all__ = ["OnnxRuntimeCpu"]


class OnnxRuntimeCpu(Opened):
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
        # It keeps the file's bytes for a retry with other providers, of which there are none.
        session.disable_fallback()
        vars(session).pop("_model_bytes", None)
        super().__init__(what, spec_of(session, what))
        self._session: Any = session

    def _run(self, feeds: Arrays, batch: int) -> dict[str, NDArray[np.generic]]:
        try:
            arrays = self._session.run(self._names, feeds)
        except Exception as exc:  # its exceptions have no common base but this
            raise self._failed(batch, exc, reason_of(exc)) from exc
        return dict(zip(self._names, arrays, strict=True))

    def _release(self) -> None:
        self._session = None
