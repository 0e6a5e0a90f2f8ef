"""Which plan runs here: asked for, chosen, refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest

from mmedge import LiveConfig
from mmedge.bundle import Bundle
from mmedge.errors import ConfigError, IncompatibleError
from mmedge.manifest import Plan
from mmedge.proof.verify import verify
from mmedge.runtime.backends.instructions import Cpu, this_cpu
from mmedge.runtime.pipeline.engine import Engine
from mmedge.runtime.plans import choose_plan
from mmedge.runtime.predictor import Predictor
from mmedge.specs.plan import Speed
from tests.fakes import linear_bundle

OLD = Cpu(name="old", architecture="x86_64", instructions=frozenset({"avx2"}))
NEW = Cpu(name="new", architecture="x86_64", instructions=frozenset({"avx2", "avx512_vnni"}))


def bundle(**plans: Mapping[str, Any]) -> Bundle:
    """A bundle whose further plans are its float graphs under other names."""
    made = linear_bundle()
    fp32 = made.manifest.plans["fp32"]
    more = {name: fp32.model_copy(update={"precision": "int8", **p}) for name, p in plans.items()}
    manifest = made.manifest.model_copy(update={"plans": {"fp32": fp32, **more}})
    return Bundle.in_memory(manifest, made.files)


def cpu_plan(*speeds: tuple[str, int, float], needs: str = "") -> dict[str, Any]:
    measured = tuple(Speed(machine=m, threads=t, ratio=r) for m, t, r in speeds)
    return {"target": "cpu", "speeds": measured, "instructions": tuple(needs.split())}


def plans(**named: Mapping[str, Any]) -> Mapping[str, Plan]:
    return bundle(**named).manifest.plans


@pytest.mark.parametrize(
    ("made", "cpu", "chosen", "why"),
    [
        ({}, NEW, "fp32", ""),
        ({"trt": {"target": "tensorrt"}}, NEW, "fp32", "no plan for CPUs"),
        ({"a": cpu_plan(("new", 2, 0.5))}, NEW, "a", "0.50 of fp32's time, measured on this CPU"),
        ({"a": cpu_plan(("new", 2, 0.5))}, OLD, "fp32", "no plan was measured on this CPU (old)"),
        ({"a": cpu_plan(("new", 2, 1.25))}, NEW, "fp32", "a takes 1.25 of its time"),
        (
            {"a": cpu_plan(("new", 2, 0.5)), "b": cpu_plan(("new", 2, 0.4), needs="vnni")},
            NEW,
            "b",
            "0.40",
        ),
        (
            {"a": cpu_plan(("old", 2, 0.5)), "b": cpu_plan(("old", 2, 0.4), needs="vnni")},
            OLD,
            "a",
            "0.50",
        ),
        ({"b": cpu_plan(("old", 2, 0.4), needs="vnni")}, OLD, "fp32", "need vnni, which this one"),
        # As many threads as will run count; where none were, the worst does.
        ({"a": cpu_plan(("new", 2, 0.5), ("new", 8, 1.5))}, NEW, "a", "0.50"),
        ({"a": cpu_plan(("new", 1, 0.5), ("new", 8, 1.5))}, NEW, "fp32", "1.50"),
    ],
)
def test_auto_takes_what_was_measured_to_be_faster_here_and_is_right_here(
    made: Mapping[str, Any], cpu: Cpu, chosen: str, why: str
) -> None:
    choice = choose_plan(plans(**made), "auto", "cpu", threads=2, cpu=cpu)
    assert choice.plan == chosen
    assert why in choice.why
    assert bool(str(choice)) == bool(made)


def test_the_predictor_runs_what_auto_chose() -> None:
    here = (this_cpu().name, os.cpu_count() or 1, 0.5)
    with Predictor(bundle(small=cpu_plan(here)), plan="auto") as predictor:
        assert predictor.plan == "small"
        assert str(predictor.choice).startswith("plan small: 0.50 of fp32's time")


def test_a_plan_that_this_cpu_would_compute_wrongly_is_refused_with_a_remedy() -> None:
    made = plans(small=cpu_plan(needs="vnni"))
    assert choose_plan(made, "small", "cpu", cpu=NEW).plan == "small"
    with pytest.raises(
        IncompatibleError, match=r"needs vnni, which this CPU \(old\) lacks"
    ) as caught:
        choose_plan(made, "small", "cpu", cpu=OLD)
    assert "--plan fp32, or run 'mmedge calibrate' on this machine" in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_predictor_refuses_what_no_cpu_has() -> None:
    with pytest.raises(IncompatibleError, match="needs magic"):
        Predictor(bundle(small=cpu_plan(needs="magic")), plan="small")


def test_a_plan_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match="no plan 'int4'; it has fp32, small"):
        choose_plan(plans(small=cpu_plan()), "int4", "cpu")


def test_an_imitation_says_so_predicts_and_verifies_but_does_not_serve() -> None:
    made = bundle(trt={"target": "tensorrt"})
    with Predictor(made, plan="trt") as predictor:
        assert predictor.simulated
        assert "is for TensorRT; the backend 'cpu' only imitates it" in str(predictor.choice)
    parity = verify(made, plan="trt")
    assert parity.passed
    assert parity.notes == (
        "plan trt: it is for TensorRT; the backend 'cpu' only imitates it, in float",
    )
    with pytest.raises(
        IncompatibleError, match="good to predict files with and to verify, but not to serve"
    ):
        Engine(made, LiveConfig(), lambda tick: None, plan="trt")


TRT = {"target": "tensorrt"}


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx", "onnxruntime-tensorrt"])
@pytest.mark.parametrize(
    ("made", "chosen", "said"),
    [
        ({}, "fp32", ""),
        ({"small": cpu_plan(("new", 2, 0.1))}, "fp32", "plan fp32: the bundle has no plan for Te"),
        ({"half": {**TRT, "precision": "fp16"}}, "half", "plan half: made for TensorRT"),
        (
            {"half": {**TRT, "precision": "fp16"}, "mix": {**TRT, "precision": "mixed"}},
            "mix",
            "plan mix: made for TensorRT",
        ),
        ({"mix": {**TRT, "precision": "mixed"}, "low": TRT}, "low", "plan low: made for TensorRT"),
    ],
)
def test_where_tensorrt_computes_auto_takes_its_plan_of_the_lowest_precision(
    made: Mapping[str, Any], backend: str, chosen: str, said: str
) -> None:
    choice = choose_plan(plans(**made), "auto", backend, cpu=NEW)
    assert choice.plan == chosen
    assert str(choice).startswith(said)
    assert bool(str(choice)) == bool(said)


def test_cuda_takes_float32_and_imitates_integers_but_not_halves() -> None:
    made = plans(low=TRT, half={**TRT, "precision": "fp16"})
    assert choose_plan(made, "auto", "cuda", cpu=NEW).plan == "fp32"
    assert str(choose_plan(made, "half", "cuda", cpu=NEW)) == ""
    choice = str(choose_plan(made, "low", "cuda", cpu=NEW))
    assert choice == "plan low: it is for TensorRT; the backend 'cuda' only imitates it, in float"


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx", "onnxruntime-tensorrt", "cuda"])
def test_a_plan_for_cpus_is_refused_where_a_gpu_computes(backend: str) -> None:
    with pytest.raises(
        IncompatibleError, match=f"plan 'a' is for CPUs, and the backend '{backend}"
    ):
        choose_plan(plans(a=cpu_plan()), "a", backend, cpu=NEW)
