"""ONNX Runtime's providers on a GPU: never the CPU in their place; one line where none is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as real
import pytest

from mmedge.bundle import Bundle
from mmedge.engines.driver import probe
from mmedge.errors import ArtefactError, ConfigError, IncompatibleError, ResourceError
from mmedge.proof import verify
from mmedge.runtime.backends import open_backend
from mmedge.runtime.backends.onnxruntime_gpu import ROWS
from tests.fakes import encoder_graph
from tests.runtime.backends.fake_onnxruntime import NAMES, FakeOrt, put_in_place

both = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def ort(monkeypatch: pytest.MonkeyPatch) -> FakeOrt:
    """A driver that works, and the fake."""
    return put_in_place(monkeypatch)


CUDA = {"CUDAExecutionProvider": {"use_tf32": "0"}}


@pytest.mark.parametrize(
    ("name", "providers"),
    [("cuda", CUDA), ("onnxruntime-tensorrt", {"TensorrtExecutionProvider": {}, **CUDA})],
)
def test_it_asks_for_its_providers_and_fixes_the_batch(
    ort: FakeOrt, name: str, providers: dict[str, Any]
) -> None:
    with open_backend(name, encoder_graph(), what="g") as backend:
        assert backend.kind == "gpu"
        assert backend.run({"samples": np.float32([[1, 2]])})["embedding"].tolist() == [[3, 5]]
    assert [list(each.items()) for each in ort.asked] == [list(providers.items())] * 2
    assert ort.fixed == [{"batch": 1}, {"batch": 8}]


@pytest.mark.parametrize(
    ("batch", "rows"), [(1, [1]), (2, [8]), (8, [8]), (9, [8, 8]), (20, [8, 8, 8])]
)
def test_any_batch_runs_in_pieces_that_are_filled_up(
    ort: FakeOrt, batch: int, rows: list[int]
) -> None:
    given = np.arange(2 * batch, dtype=np.float32).reshape(batch, 2)
    with open_backend("cuda", encoder_graph(), what="g") as backend:
        out = backend.run({"samples": given})["embedding"]
    assert ort.rows == rows
    assert out.tolist() == (2 * given + 1).tolist()


def test_the_demo_passes_its_own_proof_that_way(ort: FakeOrt, demo: Bundle) -> None:
    assert verify(demo, backend="cuda").passed


@pytest.mark.parametrize("rows", [1, ROWS])
def test_with_a_fixed_batch_no_graph_of_the_demo_computes_shapes(
    demo: Bundle, tmp_path: Path, rows: int
) -> None:
    # ONNX Runtime would put them on the CPU, and refuse the graph for it.
    for name, ref in demo.manifest.plans["fp32"].graphs.items():
        options = real.SessionOptions()
        options.log_severity_level = 4
        options.optimized_model_filepath = str(tmp_path / "folded.onnx")
        options.graph_optimization_level = real.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.add_free_dimension_override_by_name("batch", rows)
        real.InferenceSession(demo.read(ref), options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(tmp_path / "folded.onnx").graph.node
        assert not {node.op_type for node in nodes} & {"Shape", "Size", "Expand"}, name


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
    with pytest.raises(ConfigError, match=r"graph: input 'samples' is float64\(9, 2\), but"):
        backend.run({"samples": np.zeros((9, 2))})
    backend.close()
    with pytest.raises(RuntimeError, match="graph was closed"):
        backend.run({"samples": np.zeros((1, 2), np.float32)})
    assert ort.rows == []


# As ONNX Runtime says it: in bfc_arena.cc, here after a name that fills the line, and cuda_call.cc.
FULL = [
    (
        f"Non-zero status code returned while running Mul node. Name:'{'long' * 80}' Status: "
        "bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 4096"
    ),
    "CudaCall cuda_call.cc:114\nCUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc(&p, size);",
    "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; expr=cublasCreate(&cublas_handle_);",
]


@both
@pytest.mark.parametrize("said", FULL, ids=["arena", "cuda", "cublas"])
def test_memory_that_does_not_suffice_is_nobodys_fault(ort: FakeOrt, name: str, said: str) -> None:
    words = "graph: the GPU's memory does not suffice: .*Close what else uses it, or take --backend"
    with open_backend(name, encoder_graph(), what="graph") as backend:
        ort.fails = RuntimeError(said)
        with pytest.raises(ResourceError, match=words):
            backend.run({"samples": np.zeros((3, 2), np.float32)})
    ort.raises = RuntimeError(said)
    with pytest.raises(ResourceError, match=words):
        open_backend(name, encoder_graph(), what="graph")


@both
def test_any_other_failure_is_the_artefacts(ort: FakeOrt, name: str) -> None:
    with open_backend(name, encoder_graph(), what="graph") as backend:
        ort.fails = RuntimeError("CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED ; GPU=0")
        with pytest.raises(ArtefactError, match="graph fails on a batch of 3: CUBLAS failure 13"):
            backend.run({"samples": np.zeros((3, 2), np.float32)})


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
