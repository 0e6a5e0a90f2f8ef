"""ONNX Runtime's providers on a GPU: never the CPU in their place; one line where none is."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnxruntime as real
import pytest

from mmedge.engines.driver import probe
from mmedge.errors import IncompatibleError
from mmedge.runtime.backends import open_backend
from tests.fakes import encoder_graph

NAMES = {"cuda": "CUDAExecutionProvider", "onnxruntime-tensorrt": "TensorrtExecutionProvider"}
both = pytest.mark.parametrize("name", NAMES)


class FakeOrt:
    """ONNX Runtime with GPU providers that compute on the CPU, so that what is asked shows."""

    __version__ = "1.31.0"
    __file__ = "/without/libraries/__init__.py"
    SessionOptions = real.SessionOptions
    GraphOptimizationLevel = real.GraphOptimizationLevel

    def __init__(self) -> None:
        self.gets: list[str] | None = None
        """Providers that a session says it has; ``None`` for those that were asked for."""
        self.raises: Exception | None = None
        self.asked: list[Any] = []
        self.options: list[Any] = []

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
        session = real.InferenceSession(model, providers=["CPUExecutionProvider"])
        vars(session)["get_providers"] = lambda: self.gets or list(dict(providers))
        return session


@pytest.fixture
def ort(monkeypatch: pytest.MonkeyPatch) -> FakeOrt:
    """A driver that works, and the fake."""
    fake = FakeOrt()
    monkeypatch.setattr("mmedge.runtime.backends.onnxruntime_gpu.probe", lambda: None)
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    return fake


def test_cuda_computes_float32_as_float32(ort: FakeOrt) -> None:
    with open_backend("cuda", encoder_graph(), what="g") as backend:
        assert backend.kind == "gpu"
        assert backend.run({"samples": np.float32([[1, 2]])})["embedding"].tolist() == [[3, 5]]
    assert ort.asked == [{"CUDAExecutionProvider": {"use_tf32": "0"}}]


def test_tensorrt_is_told_its_shapes_and_leaves_the_rest_to_cuda(ort: FakeOrt) -> None:
    with open_backend("onnxruntime-tensorrt", encoder_graph(), what="g"):
        pass
    shapes = {
        "trt_profile_min_shapes": "samples:1x2",
        "trt_profile_opt_shapes": "samples:1x2",
        "trt_profile_max_shapes": "samples:8x2",
    }
    cuda = {"use_tf32": "0"}
    assert ort.asked == [{"TensorrtExecutionProvider": shapes, "CUDAExecutionProvider": cuda}]
    assert list(ort.asked[0]) == ["TensorrtExecutionProvider", "CUDAExecutionProvider"]


def test_tensorrt_takes_more_rows_in_pieces(ort: FakeOrt) -> None:
    given = np.arange(40, dtype=np.float32).reshape(20, 2)
    with open_backend("onnxruntime-tensorrt", encoder_graph(), what="g") as backend:
        rows: list[int] = []
        session: Any = vars(backend)["_session"]
        run = session.run
        vars(session)["run"] = lambda names, feeds: (
            rows.append(len(feeds["samples"])),
            run(names, feeds),
        )[1]
        out = backend.run({"samples": given})["embedding"]
    assert rows == [8, 8, 4]
    assert out.tolist() == (2 * given + 1).tolist()


def test_nothing_of_the_libraries_goes_to_where_results_go(
    ort: FakeOrt, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_backend("cuda", encoder_graph(), what="g"):
        pass
    assert capsys.readouterr().out == ""


@both
def test_a_session_that_got_another_provider_is_refused(ort: FakeOrt, name: str) -> None:
    ort.gets = ["CPUExecutionProvider"]
    with pytest.raises(
        IncompatibleError, match=f"graph by its {NAMES[name]} alone: it computes by"
    ):
        open_backend(name, encoder_graph(), what="graph")


@both
def test_a_graph_that_a_gpu_does_not_take_whole_is_refused(ort: FakeOrt, name: str) -> None:
    ort.raises = RuntimeError("nodes that are assigned to the default CPU EP, but fallback ...")
    with pytest.raises(IncompatibleError, match="assigned to the default CPU EP") as caught:
        open_backend(name, encoder_graph(), what="graph")
    assert "Take --backend tensorrt, or --backend cpu" in str(caught.value)


@both
def test_the_onnxruntime_for_cpus_is_told_from_the_other(
    monkeypatch: pytest.MonkeyPatch, ort: FakeOrt, name: str
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(IncompatibleError, match="it is the package for CPUs") as caught:
        open_backend(name, encoder_graph(), what="graph")
    assert "pip uninstall onnxruntime" in str(caught.value)


@both
def test_closing_and_what_does_not_fit_are_as_on_the_cpu(ort: FakeOrt, name: str) -> None:
    backend = open_backend(name, encoder_graph(), what="graph")
    backend.close()
    with pytest.raises(RuntimeError, match="graph was closed"):
        backend.run({"samples": np.zeros((1, 2), np.float32)})


@both
def test_with_the_real_package_for_gpus_the_missing_library_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if NAMES[name] not in real.get_available_providers():
        pytest.skip("needs onnxruntime-gpu in the place of onnxruntime")
    try:
        probe()
    except IncompatibleError:
        pass
    else:
        pytest.skip("there is a driver here")
    monkeypatch.setattr("mmedge.runtime.backends.onnxruntime_gpu.probe", lambda: None)
    with pytest.raises(IncompatibleError, match=r"cannot load its \w+: lib\S+\.so\S*: cannot open"):
        open_backend(name, encoder_graph(), what="graph")
