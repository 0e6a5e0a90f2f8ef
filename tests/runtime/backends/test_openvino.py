"""OpenVINO: float32 and nothing else, with the threads that it is given."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import helper

from mmedge.bundle import Bundle
from mmedge.errors import IncompatibleError, MissingDependencyError, ResourceError
from mmedge.proof.verify import verify
from mmedge.runtime.backends import open_backend
from mmedge.runtime.plans import choose_plan
from tests.fakes import encoder_graph, linear_bundle, onnx_model

needs_openvino = pytest.mark.skipif(
    find_spec("openvino") is None,
    reason="needs openvino (pip install -e '.[dev,openvino]')",
)


@needs_openvino
@pytest.mark.parametrize("threads", [1, 2])
def test_it_runs_with_as_many_threads_as_it_is_given(threads: int) -> None:
    with open_backend("openvino", encoder_graph(), what="g", threads=threads) as backend:
        request: Any = vars(backend)["_request"]
        compiled = request.get_compiled_model()
        assert compiled.get_property("INFERENCE_NUM_THREADS") == threads
        assert compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"


@needs_openvino
def test_products_are_float32_though_the_cpu_has_bf16() -> None:
    # 256 products of 1 + 2^-12, which BF16 rounds to 1.
    size = 256
    given = np.full((4, size), 1 + 2**-12, np.float32)
    weight = np.full((size, size), 1, np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    model = onnx_model(nodes, {"x": ["batch", size]}, {"y": ["batch", size]}, {"w": weight})
    with open_backend("openvino", model, what="g") as backend:
        out = backend.run({"x": given})["y"]
    assert np.abs(out - (256 + 0.0625)).max() < 1e-4


@needs_openvino
def test_the_shipped_model_keeps_its_numbers(demo: Bundle) -> None:
    parity = verify(demo, backend="openvino")
    assert parity.passed
    assert {f"{name}/front_end" for name in ("camera", "mic")} <= set(parity.by_point())


@needs_openvino
def test_it_imitates_nobody() -> None:
    with pytest.raises(IncompatibleError, match="imitates no other's"):
        open_backend("openvino", encoder_graph(), what="g", simulate=True)


def test_memory_that_does_not_suffice_to_open_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def core() -> None:
        raise RuntimeError("Exception from src/core.cpp:9:\nstd::bad_alloc\n")

    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(Core=core, __version__="2026"))
    with pytest.raises(ResourceError, match=r"g: the memory does not suffice: std::bad_alloc\. Cl"):
        open_backend("openvino", encoder_graph(), what="g")


@pytest.mark.parametrize("target", ["cpu", "tensorrt"])
def test_a_plan_that_is_not_float32_is_refused(target: str) -> None:
    plan = linear_bundle().manifest.plans["fp32"]
    low = plan.model_copy(update={"precision": "int8", "target": target})
    plans = {"fp32": plan, "low": low}
    with pytest.raises(IncompatibleError, match="integers of its own") as caught:
        choose_plan(plans, "low", "openvino")
    assert "Take --plan fp32, or --backend cpu" in str(caught.value)
    assert choose_plan(plans, "auto", "openvino").plan == "fp32"


def test_where_it_is_not_installed_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'mmedge\[openvino\]'") as caught:
        open_backend("openvino", encoder_graph(), what="g")
    assert caught.value.exit_code == 4
