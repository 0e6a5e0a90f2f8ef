"""What every backend has to do, on graphs whose numbers are known."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from mmedge.engines.driver import probe
from mmedge.errors import ArtefactError, ConfigError, IncompatibleError
from mmedge.runtime.backends import BACKENDS, Backend, backend_class, open_backend
from mmedge.specs import GraphSpec, TensorSpec
from tests.fakes import encoder_graph, head_graph, onnx_model
from tests.runtime.backends.fake_onnxruntime import put_in_place
from tests.runtime.backends.recording_cuda import stand_in

TOLERANCE = {  # absolute, on numbers of about 1
    "cpu": 1e-6,
    "cuda": 1e-5,
    "onnxruntime-tensorrt": 1e-5,
    "openvino": 1e-6,
    "tensorrt": 1e-5,
    "tensorrt-rtx": 1e-5,
    "recording": 1e-6,
    "fake-cuda": 1e-6,
}
PACKAGES = {
    "cpu": "onnxruntime",
    "cuda": "onnxruntime",
    "onnxruntime-tensorrt": "onnxruntime",
    "openvino": "openvino",
    "tensorrt": "tensorrt",
    "tensorrt-rtx": "tensorrt_rtx",
}
# An engine has to be there first.
TENSORRT = {
    "tensorrt": "tests.runtime.backends.built_first:BuiltFirst",
    "tensorrt-rtx": "tests.runtime.backends.built_first:BuiltFirstRtx",
}
# The package that `.[dev]` brings has none of these.
PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "onnxruntime-tensorrt": "TensorrtExecutionProvider",
}
ON_GPU = (*PROVIDERS, *TENSORRT)
NAMES = [pytest.param(each, marks=pytest.mark.gpu if each in ON_GPU else ()) for each in BACKENDS]

SPEC = GraphSpec(
    inputs=(TensorSpec(name="samples", dtype="float32", shape=("batch", 2)),),
    outputs=(TensorSpec(name="embedding", dtype="float32", shape=("batch", 2)),),
)


def feeds(rows: int) -> dict[str, Any]:
    return {"samples": np.arange(2 * rows, dtype=np.float32).reshape(rows, 2) / (2 * rows)}


@pytest.fixture(params=[*NAMES, "recording", "fake-cuda"])
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A backend's name; skipped where its package, or its GPU, is not there.

    ``recording`` is TensorRT's, over stand-ins for CUDA and TensorRT, see `recording_cuda`;
    ``fake-cuda`` is that of ONNX Runtime's CUDA, computed on the CPU, see `fake_onnxruntime`.
    """
    chosen = str(request.param)
    if chosen == "recording":
        stand_in(monkeypatch, tmp_path)
        monkeypatch.setitem(BACKENDS, chosen, "tests.runtime.backends.recording_cuda:Recorded")
        return chosen
    if chosen == "fake-cuda":
        put_in_place(monkeypatch)
        monkeypatch.setitem(BACKENDS, chosen, BACKENDS["cuda"])
        return chosen
    if chosen in ON_GPU:
        try:
            probe()
        except IncompatibleError as exc:
            pytest.skip(str(exc))
    package = pytest.importorskip(PACKAGES[chosen])
    if chosen in PROVIDERS and PROVIDERS[chosen] not in package.get_available_providers():
        pytest.skip("needs onnxruntime-gpu in the place of onnxruntime")
    if chosen in TENSORRT:
        monkeypatch.setitem(BACKENDS, chosen, TENSORRT[chosen])
    return chosen


def leave_out(name: str, why: str) -> None:
    """Skip what TensorRT itself does not take, so that no engine can be built first."""
    if name in TENSORRT:
        pytest.skip(f"TensorRT {why}")


class TestContract:
    @pytest.fixture
    def backend(self, name: str) -> Iterator[Backend]:
        with open_backend(name, encoder_graph(), what="graph 'ant'", threads=1) as opened:
            yield opened

    def test_it_says_what_goes_in_and_out(self, backend: Backend) -> None:
        assert backend.spec == SPEC
        assert backend.kind in ("cpu", "gpu")

    @pytest.mark.parametrize("rows", [1, 2, 5, 64, 3])
    def test_it_computes_the_graph_at_any_batch(
        self, backend: Backend, name: str, rows: int
    ) -> None:
        out = backend.run(feeds(rows))
        assert list(out) == ["embedding"]
        assert out["embedding"].dtype == np.float32
        expected = 2 * feeds(rows)["samples"] + 1
        assert np.abs(out["embedding"] - expected).max() <= TOLERANCE[name]

    def test_several_inputs_and_outputs_go_by_name(self, name: str) -> None:
        weights = {"x": np.float32([[[1], [0]], [[0], [10]]]), "y": np.ones((2, 2, 3), np.float32)}
        model = head_graph(("ant", "bee"), weights)
        arrays = {
            "presence": np.array([[True, True], [True, False]]),
            "bee": np.float32([[3, 4], [np.nan, np.nan]]),
            "ant": np.float32([[1, 2], [1, 2]]),
        }
        with open_backend(name, model, what="fusion") as backend:
            out = backend.run(arrays)
        assert list(out) == ["x", "y"]
        assert out["x"].tolist() == [[41], [1]]
        assert out["y"].tolist() == [[10, 10, 10], [3, 3, 3]]

    @pytest.mark.parametrize(
        ("element", "dtype"),
        [
            (TensorProto.FLOAT, "float32"),
            (TensorProto.UINT8, "uint8"),
            (TensorProto.INT64, "int64"),
            (TensorProto.BOOL, "bool"),
        ],
    )
    def test_the_element_types_of_bundles_pass_through(
        self, name: str, element: int, dtype: str
    ) -> None:
        nodes = [helper.make_node("Flatten", ["x"], ["y"])]
        model = onnx_model(nodes, {"x": ["batch", 2]}, {"y": ["batch", 2]}, element=element)
        given = np.array([[0, 1], [1, 1]]).astype(dtype)
        with open_backend(name, model, what="g") as backend:
            out = backend.run({"x": given})["y"]
        assert out.dtype == given.dtype
        assert out.tolist() == given.tolist()

    def test_outputs_belong_to_the_caller(self, backend: Backend) -> None:
        first = backend.run(feeds(2))["embedding"]
        kept = first.copy()
        backend.run({"samples": np.full((2, 2), 9, np.float32)})
        assert np.array_equal(first, kept)
        first[:] = 0  # and may be written to

    def test_inputs_are_left_as_they_are(self, backend: Backend) -> None:
        given = feeds(3)
        backend.run(given)
        assert np.array_equal(given["samples"], feeds(3)["samples"])

    def test_inputs_need_not_be_contiguous(self, backend: Backend) -> None:
        wide = np.arange(12, dtype=np.float32).reshape(3, 4)
        out = backend.run({"samples": wide[:, ::2]})["embedding"]
        assert out.tolist() == [[1, 5], [9, 13], [17, 21]]

    @pytest.mark.parametrize(
        ("arrays", "words"),
        [
            ({}, r"takes the inputs \['samples'\], but got \[\]"),
            ({**feeds(1), "more": np.zeros(1)}, r"got \['more', 'samples'\]"),
            ({"samples": np.zeros((1, 2))}, r"is float64\(1, 2\), but the graph expects float32"),
            ({"samples": np.zeros((1, 2), ">f4")}, r"is >f4\(1, 2\), but the graph expects"),
            ({"samples": np.zeros((1, 3), np.float32)}, r"float32\(1, 3\), but .*\(batch, 2\)"),
            ({"samples": np.zeros((1, 2, 1), np.float32)}, r"float32\(1, 2, 1\), but"),
            ({"samples": np.zeros((0, 2), np.float32)}, "batches differ or are empty"),
            ({"samples": np.float32(0)}, "samples"),
        ],
    )
    def test_inputs_that_do_not_fit_are_refused_in_words(
        self, backend: Backend, arrays: dict[str, Any], words: str
    ) -> None:
        with pytest.raises(ConfigError, match=words) as caught:
            backend.run(arrays)
        assert "graph 'ant'" in str(caught.value)

    def test_inputs_of_different_batches_are_refused(self, name: str) -> None:
        model = head_graph(("ant",), {"x": np.ones((1, 2, 1), np.float32)})
        arrays = {"ant": np.zeros((2, 2), np.float32), "presence": np.ones((1, 1), bool)}
        with (
            open_backend(name, model, what="fusion") as backend,
            pytest.raises(ConfigError, match="batches differ"),
        ):
            backend.run(arrays)

    def test_running_after_closing_is_an_error(self, backend: Backend) -> None:
        backend.close()
        with pytest.raises(RuntimeError, match="graph 'ant' was closed"):
            backend.run(feeds(1))
        backend.close()  # once more does no harm

    def test_the_file_is_not_kept_in_memory(self, name: str) -> None:
        model = bytes(bytearray(encoder_graph()))  # nobody else's
        before = sys.getrefcount(model)
        with open_backend(name, model, what="graph 'ant'", threads=1) as opened:
            opened.run(feeds(1))
            assert sys.getrefcount(model) == before

    @pytest.mark.parametrize("model", [b"", b"no graph", bytes(99), encoder_graph()[:-9]])
    def test_what_is_no_graph_is_refused(self, name: str, model: bytes) -> None:
        with pytest.raises(ArtefactError, match="graph 'ant' is not an ONNX file"):
            open_backend(name, model, what="graph 'ant'")

    def test_an_operator_that_no_bundle_holds_is_the_artefacts_fault(self, name: str) -> None:
        nodes = [helper.make_node("Levitate", ["x"], ["y"])]
        model = onnx_model(nodes, {"x": ["batch", 2]}, {"y": ["batch", 2]})
        with pytest.raises(ArtefactError, match="Levitate"):
            open_backend(name, model, what="graph 'ant'")

    @pytest.mark.parametrize(
        ("shape", "element", "words"),
        [
            ([1, 2], TensorProto.FLOAT, "its batch is fixed"),
            (["batch", "time"], TensorProto.FLOAT, "only the batch may be dynamic"),
            (["batch", 0], TensorProto.FLOAT, "that no bundle holds"),
            ([], TensorProto.FLOAT, "only the batch may be dynamic"),
            (
                ["batch", 2],
                TensorProto.DOUBLE,
                r"'x' has type \S*(double|64)\S*, which no bundle holds",
            ),
        ],
    )
    def test_a_signature_that_no_bundle_has_is_refused(
        self, name: str, shape: list[str | int], element: int, words: str
    ) -> None:
        leave_out(name, "takes no such graph")
        nodes = [helper.make_node("Identity", ["x"], ["y"])]
        model = onnx_model(nodes, {"x": shape}, {"y": shape}, element=element)
        with pytest.raises(ArtefactError, match=words):
            open_backend(name, model, what="graph 'ant'")

    def test_names_inside_need_not_be_text(self, name: str) -> None:
        model = encoder_graph().replace(b"front_end", b"\xff" * 9)
        with open_backend(name, model, what="graph 'ant'") as backend:
            assert backend.run({"samples": np.float32([[1, 2]])})["embedding"].tolist() == [[3, 5]]

    @pytest.mark.parametrize("end", ["samples", "embedding"])
    def test_names_of_inputs_and_outputs_must_be_text(self, name: str, end: str) -> None:
        model = encoder_graph().replace(end.encode(), b"\xff" * len(end))
        with pytest.raises(ArtefactError, match="graph 'ant' has an input or output whose name is"):
            open_backend(name, model, what="graph 'ant'")

    def test_an_index_beyond_its_table_is_the_artefacts_fault(self, name: str) -> None:
        # A token's that the model has no embedding for; zeros would go on as if they were one.
        nodes = [
            helper.make_node("Unsqueeze", ["ids", "last"], ["rows"]),
            helper.make_node("Gather", ["table", "rows"], ["found"], axis=0),
            helper.make_node("Cast", ["found"], ["y"], to=TensorProto.INT64),
        ]
        constants = {"table": np.int64([10, 11, 12, 13]), "last": np.int64([-1])}
        model = onnx_model(
            nodes,
            {"ids": ["batch", 2]},
            {"y": ["batch", 2, 1]},
            constants,
            element=TensorProto.INT64,
        )
        with open_backend(name, model, what="graph 'ant'") as backend:
            assert backend.run({"ids": np.int64([[0, 3]])})["y"].tolist() == [[[10], [13]]]
            assert backend.run({"ids": np.int64([[-1, -4]])})["y"].tolist() == [[[13], [10]]]
            for beyond in (4, -5):
                with pytest.raises(ArtefactError, match="graph 'ant' fails on a batch of 3"):
                    backend.run({"ids": np.int64([[0, 0], [0, beyond], [0, 0]])})
            assert backend.run({"ids": np.int64([[0, 3]])})["y"].tolist() == [[[10], [13]]]

    @pytest.mark.parametrize(
        ("kind", "shape", "expected"),
        [("GatherElements", ["batch", 2], [[10, 21]] * 2), ("GatherND", ["batch"], [20, 20])],
    )
    def test_so_is_one_beyond_what_is_read_otherwise(
        self, name: str, kind: str, shape: list[str | int], expected: list[Any]
    ) -> None:
        nodes = [helper.make_node(kind, ["table", "ids"], ["y"])]
        table = {"table": np.int64([[10, 20], [11, 21]])}
        model = onnx_model(
            nodes, {"ids": ["batch", 2]}, {"y": shape}, table, element=TensorProto.INT64
        )
        with open_backend(name, model, what="graph 'ant'") as backend:
            assert backend.run({"ids": np.int64([[0, 1]] * 2)})["y"].tolist() == expected
            for beyond in (2, -3):
                with pytest.raises(ArtefactError, match="graph 'ant' fails on a batch of 2"):
                    backend.run({"ids": np.int64([[0, 0], [0, beyond]])})

    def test_a_graph_that_fails_on_fitting_inputs_is_the_artefacts_fault(self, name: str) -> None:
        # The hundredth column is only missed when it runs.
        nodes = [helper.make_node("Gather", ["x", "index"], ["y"], axis=1)]
        model = onnx_model(
            nodes, {"x": ["batch", 2]}, {"y": ["batch", 1]}, {"index": np.int64([100])}
        )
        with (
            open_backend(name, model, what="graph 'ant'") as backend,
            pytest.raises(ArtefactError, match="graph 'ant' fails on a batch of 3"),
        ):
            backend.run({"x": np.zeros((3, 2), np.float32)})

    def test_outputs_of_another_batch_are_the_artefacts_fault(self, name: str) -> None:
        leave_out(name, "has no NonZero")
        with open_backend(name, encoder_graph(fold=True), what="graph 'ant'") as backend:
            assert backend.run(feeds(1))["embedding"].shape == (1, 2)
            with pytest.raises(ArtefactError, match=r"shape \(1, 2\) for a batch of 2"):
                backend.run(feeds(2))


def test_an_unknown_backend_is_named_with_those_that_are_there() -> None:
    with pytest.raises(ConfigError, match="there is no backend 'npu'; choose one of cpu, cuda"):
        backend_class("npu")


def test_every_backend_has_a_tolerance_here() -> None:
    assert set(TOLERANCE) - {"recording", "fake-cuda"} == set(PACKAGES) == set(BACKENDS)
