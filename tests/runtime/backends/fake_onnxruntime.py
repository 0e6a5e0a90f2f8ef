"""ONNX Runtime with providers for a GPU that compute on the CPU: what is asked of them shows."""

from __future__ import annotations

import sys
from typing import Any

import onnxruntime as real
import pytest

NAMES = {"cuda": "CUDAExecutionProvider", "onnxruntime-tensorrt": "TensorrtExecutionProvider"}


class Options(real.SessionOptions):  # type: ignore[misc]
    """Options that remember which sizes are fixed."""

    def __init__(self) -> None:
        super().__init__()
        self.fixed: dict[str, int] = {}

    def add_free_dimension_override_by_name(self, name: str, size: int) -> None:
        self.fixed[name] = size


class FakeOrt:
    """Stands for the module ``onnxruntime``."""

    __version__ = "1.31.0"
    __file__ = "/without/libraries/__init__.py"
    SessionOptions = Options
    GraphOptimizationLevel = real.GraphOptimizationLevel

    def __init__(self) -> None:
        self.gets: list[str] | None = None
        """Providers that a session says it has; ``None`` for those that were asked for."""
        self.raises: Exception | None = None
        """What opening a session ends with."""
        self.fails: Exception | None = None
        """What running one ends with."""
        self.asked: list[Any] = []
        self.fixed: list[dict[str, int]] = []
        self.rows: list[int] = []

    def get_available_providers(self) -> list[str]:
        return [*NAMES.values(), "CPUExecutionProvider"]

    def set_default_logger_severity(self, severity: int) -> None:
        assert severity == 4

    def preload_dlls(self) -> None:
        print("where results go")  # noqa: T201  (as the real one does)

    def InferenceSession(  # noqa: N802
        self, model: bytes, options: Any, providers: list[Any], enable_fallback: int = 1
    ) -> Any:
        if providers == ["CPUExecutionProvider"]:  # to read the signature
            return real.InferenceSession(model, options, providers=providers)
        assert enable_fallback == 0
        assert options.get_session_config_entry("session.disable_cpu_ep_fallback") == "1"
        if self.raises is not None:
            raise self.raises
        self.asked.append(dict(providers))
        self.fixed.append(options.fixed)
        on_cpu = real.SessionOptions()
        for name, size in options.fixed.items():
            on_cpu.add_free_dimension_override_by_name(name, size)
        session = real.InferenceSession(model, on_cpu, providers=["CPUExecutionProvider"])
        run = session.run

        def counted(names: list[str], feeds: dict[str, Any]) -> Any:
            if self.fails is not None:
                raise self.fails
            self.rows.append(len(next(iter(feeds.values()))))
            return run(names, feeds)

        vars(session).update(get_providers=lambda: self.gets or list(dict(providers)), run=counted)
        return session


def put_in_place(patch: pytest.MonkeyPatch) -> FakeOrt:
    """Have the backends find it, and a driver that works."""
    fake = FakeOrt()
    patch.setattr("mmedge.runtime.backends.onnxruntime_gpu.probe", lambda: None)
    patch.setitem(sys.modules, "onnxruntime", fake)
    return fake
