"""TensorRT's backend over recording stand-ins: order, lifetimes, memory, and what it refuses."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mmedge.bundle import Bundle
from mmedge.engines.driver import probe
from mmedge.errors import IncompatibleError, MissingDependencyError, ResourceError
from mmedge.proof import verify
from mmedge.runtime.backends import BACKENDS, open_backend
from mmedge.runtime.backends.tensorrt import TensorRT
from mmedge.runtime.backends.tensorrt.cuda import open_cuda
from tests.conftest import DEMO as BUNDLE
from tests.fakes import encoder_graph, head_graph
from tests.runtime.backends.recording_cuda import TOOLKIT, RecordingTensorRT, keep, stand_in

MODEL = encoder_graph()
DEMO = BUNDLE.parent


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RecordingTensorRT:
    """The stand-in, and an engine of `MODEL` in the cache."""
    trt = stand_in(monkeypatch, tmp_path)
    keep(MODEL)
    return trt


@pytest.fixture
def backend(trt: RecordingTensorRT) -> Iterator[TensorRT]:
    with TensorRT(MODEL, what="graph 'ant'") as opened:
        trt.cuda.calls.clear()
        yield opened


def feeds(rows: int) -> dict[str, np.ndarray]:
    return {"samples": np.arange(2 * rows, dtype=np.float32).reshape(rows, 2)}


def calls_of(trt: RecordingTensorRT) -> list[str]:
    calls, trt.cuda.calls = trt.cuda.calls, []
    return calls


def test_a_run_copies_in_executes_copies_out_and_waits(
    trt: RecordingTensorRT, backend: TensorRT
) -> None:
    backend.run(feeds(2))
    assert calls_of(trt) == ["malloc", "malloc", "in", "execute", "out", "wait"]


def test_a_second_run_of_as_many_rows_or_fewer_allocates_nothing(
    trt: RecordingTensorRT, backend: TensorRT
) -> None:
    backend.run(feeds(3))
    calls_of(trt)
    for rows in (3, 1, 2, 3):
        assert (
            backend.run(feeds(rows))["embedding"].tolist()
            == (2 * feeds(rows)["samples"] + 1).tolist()
        )
        assert calls_of(trt) == ["in", "execute", "out", "wait"]


def test_more_rows_than_ever_before_take_new_blocks_and_give_the_old_ones_back(
    trt: RecordingTensorRT, backend: TensorRT
) -> None:
    backend.run(feeds(1))
    calls_of(trt)
    backend.run(feeds(3))
    allocating, running = ["free", "malloc"] * 2, ["in", "execute", "out", "wait"]
    assert calls_of(trt) == allocating + running
    assert len(trt.cuda.blocks) == 2


def test_more_rows_than_the_engine_takes_run_in_pieces(
    trt: RecordingTensorRT, backend: TensorRT
) -> None:
    assert trt.rows == 4
    out = backend.run(feeds(10))["embedding"]
    assert out.tolist() == (2 * feeds(10)["samples"] + 1).tolist()
    piece = ["in", "execute", "out", "wait"]
    assert calls_of(trt) == ["malloc", "malloc", *piece, *piece, *piece]


def test_several_inputs_and_outputs_each_have_a_block(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trt = stand_in(monkeypatch, tmp_path)
    model = head_graph(("ant", "bee"), {"x": np.ones((2, 2, 1), np.float32)})
    keep(model)
    with TensorRT(model, what="fusion") as backend:
        trt.cuda.calls.clear()
        ant, bee = np.float32([[1, 2]]), np.float32([[3, 4]])
        out = backend.run({"bee": bee, "presence": np.array([[True, True]]), "ant": ant})
        assert out["x"].tolist() == [[10]]
        assert calls_of(trt) == ["malloc"] * 4 + ["in"] * 3 + ["execute", "out", "wait"]


def test_a_bundle_passes_its_own_proof(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, demo: Bundle
) -> None:
    trt = stand_in(monkeypatch, tmp_path)
    monkeypatch.setitem(BACKENDS, "recording", "tests.runtime.backends.recording_cuda:Recorded")
    parity = verify(demo, backend="recording")
    assert parity.passed
    assert parity.tolerance == demo.manifest.plans["fp32"].tolerances["gpu"]
    assert trt.cuda.held == 0
    assert len(trt.deserialised) == 4


def test_what_is_not_contiguous_lives_until_it_is_copied(backend: TensorRT) -> None:
    # The stand-in reads it only when it is waited for, and compares.
    wide = np.arange(16, dtype=np.float32).reshape(4, 4)
    assert backend.run({"samples": wide[:, ::2]})["embedding"][3].tolist() == [25, 29]


def test_closing_gives_everything_back_once_and_in_order(trt: RecordingTensorRT) -> None:
    backend = TensorRT(MODEL, what="graph 'ant'")
    assert trt.alive == ["runtime", "engine", "context"]
    backend.run(feeds(2))
    calls_of(trt)
    backend.close()
    backend.close()
    gc.collect()
    assert calls_of(trt) == ["wait", "destroy", "free", "free"]
    assert trt.cuda.held == 0
    assert trt.alive == []


@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [
        (("malloc", 2), ResourceError, "the GPU's memory is used up, asked for 16 bytes"),
        (("in", 700), IncompatibleError, r"cudaMemcpyAsync: the words for 700 \(700\)"),
        (("out", 1), IncompatibleError, "cudaMemcpyAsync: the words for 1"),
        (("wait", 719), IncompatibleError, "cudaStreamSynchronize: the words for 719"),
    ],
)
def test_an_error_of_cuda_becomes_ours_once_the_stream_is_done(
    trt: RecordingTensorRT,
    backend: TensorRT,
    failure: tuple[str, int],
    kind: type[Exception],
    words: str,
) -> None:
    trt.cuda.fails |= dict([failure])
    with pytest.raises(kind, match=words):
        backend.run(feeds(2))
    assert calls_of(trt)[-1] == "wait"
    assert list(trt.cuda.streams.values()) == [[]]
    # It was a passing one: the next run is right.
    assert backend.run(feeds(1))["embedding"].tolist() == [[1, 3]]


def test_an_old_driver_is_told_which_package_fits_it(trt: RecordingTensorRT) -> None:
    trt.cuda.fails["create"] = 35
    with pytest.raises(IncompatibleError, match=r"up to 12\.6.*'cuda-python==12\.\*'"):
        TensorRT(MODEL, what="graph 'ant'")
    assert trt.cuda.held == 0


@pytest.mark.parametrize("call", ["Runtime", "deserialize_cuda_engine", "create_execution_context"])
def test_an_engine_that_cannot_be_opened_says_what_tensorrt_said(
    trt: RecordingTensorRT, call: str
) -> None:
    trt.fails.add(call)
    with pytest.raises(IncompatibleError, match="cannot open the engine of graph 'ant': an error"):
        TensorRT(MODEL, what="graph 'ant'")
    gc.collect()
    assert trt.cuda.held == 0
    assert trt.alive == []


@pytest.mark.parametrize("call", ["set_input_shape", "execute_async_v3"])
def test_a_run_that_fails_says_what_tensorrt_said_last(
    trt: RecordingTensorRT, backend: TensorRT, call: str
) -> None:
    trt.fails.add(call)
    for _ in range(3):
        with pytest.raises(IncompatibleError, match="cannot run the engine of graph 'ant': an err"):
            backend.run(feeds(2))
        assert trt.cuda.calls[-1] == "wait"
    trt.says = "out of memory"
    with pytest.raises(ResourceError, match="out of memory"):
        backend.run(feeds(2))
    trt.fails.clear()
    assert backend.run(feeds(1))["embedding"].tolist() == [[1, 3]]


def test_what_another_thread_runs_meanwhile_takes_no_complaint_away(
    trt: RecordingTensorRT, backend: TensorRT
) -> None:
    def run_another() -> None:
        with TensorRT(MODEL, what="graph 'bee'") as other:
            other.run(feeds(1))

    def refuses(call: str) -> bool:
        if call != "execute_async_v3" or threading.current_thread() is not here:
            return False
        trt.logger.log(trt.ILogger.ERROR, "out of memory")
        thread = threading.Thread(target=run_another)
        thread.start()
        thread.join()
        return True

    here = threading.current_thread()
    trt.refuses = refuses  # type: ignore[method-assign]
    with pytest.raises(ResourceError, match="out of memory"):
        backend.run(feeds(2))


def test_after_an_error_that_stays_closing_does_not_raise(
    trt: RecordingTensorRT, caplog: pytest.LogCaptureFixture
) -> None:
    backend = TensorRT(MODEL, what="graph 'ant'")
    backend.run(feeds(2))
    trt.cuda.fails |= {"wait": 700, "free": 700}
    backend.close()
    assert "graph 'ant' was not closed in order: CUDA fails" in caplog.text
    assert "a block on the GPU was not given back" in caplog.text


def test_without_an_engine_nothing_is_deserialised_and_the_command_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trt = stand_in(monkeypatch, tmp_path)
    with pytest.raises(IncompatibleError, match="Build it with: mmedge build BUNDLE") as caught:
        open_backend("tensorrt", MODEL, what="graph 'ant'")
    assert "graph 'ant' has no engine for a stand-in (8.7)" in str(caught.value)
    assert trt.deserialised == []
    assert trt.cuda.calls == []


def test_an_engine_for_a_dla_runs_on_that_core(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in(monkeypatch, tmp_path)
    keep(MODEL, dla_core=1)
    with TensorRT(MODEL, what="graph 'ant'") as backend:
        assert backend._runner is not None
        assert backend._runner._runtime.DLA_core == 1


def test_it_imitates_nobody(trt: RecordingTensorRT) -> None:
    with pytest.raises(IncompatibleError, match="TensorRT imitates nobody"):
        open_backend("tensorrt", MODEL, what="graph 'ant'", simulate=True)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("tensorrt", ["predict", "clip.mkv"]),
        ("tensorrt", ["serve", "--play", "clip.mkv"]),
        ("tensorrt", ["verify"]),
        ("tensorrt-rtx", ["verify"]),
        ("cuda", ["serve", "--play", "clip.mkv"]),
        ("onnxruntime-tensorrt", ["predict", "clip.mkv"]),
    ],
)
def test_without_a_driver_a_command_says_so_in_one_line_and_touches_nothing(
    name: str, arguments: list[str]
) -> None:
    try:
        probe()
    except IncompatibleError:
        pass
    else:
        pytest.skip("there is a driver here")
    command, *rest = arguments
    files = [str(DEMO / each) if each == "clip.mkv" else each for each in rest]
    program = [sys.executable, "-X", "importtime", "-m", "mmedge"]
    done = subprocess.run(
        [*program, command, str(DEMO / "digits.mmedge"), *files, "--backend", name],
        capture_output=True,
        check=False,
        text=True,
        timeout=100,
    )
    assert done.returncode == 4
    assert done.stdout == ""
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"tensorrt", "tensorrt_rtx", "cuda.bindings.runtime", "onnxruntime"}
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("mmedge:")]
    assert said.startswith("mmedge: there is no NVIDIA driver here (libcuda.so.1 cannot be loaded)")


class TestOpeningCuda:
    @pytest.mark.parametrize("missing", ["cuda", "cuda.bindings", "cuda.bindings.runtime"])
    def test_where_it_is_not_installed_its_extra_is_named(
        self, monkeypatch: pytest.MonkeyPatch, missing: str
    ) -> None:
        # Packages of others bring a folder 'cuda', too.
        monkeypatch.setattr(
            "mmedge.runtime.backends.tensorrt.cuda.importlib.import_module",
            failing(ModuleNotFoundError(f"No module named {missing!r}", name=missing)),
        )
        with pytest.raises(
            MissingDependencyError, match=r"pip install 'mmedge\[tensorrt\]'"
        ) as caught:
            open_cuda(TOOLKIT)
        assert caught.value.exit_code == 4

    def test_one_that_is_broken_says_how(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            "mmedge.runtime.backends.tensorrt.cuda.importlib.import_module",
            failing(ImportError("libcudart.so.12: cannot open shared object file")),
        )
        with pytest.raises(IncompatibleError, match="cannot be loaded: libcudart"):
            open_cuda(TOOLKIT)


def failing(error: Exception) -> Callable[[str], None]:
    def fail(_: str) -> None:
        raise error

    return fail
