"""``--backend auto``: what was measured is taken, what is asked for by name is too."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from mmedge import LiveConfig
from mmedge.bundle import Bundle, open_bundle
from mmedge.errors import ConfigError, IncompatibleError
from mmedge.proof.verify import verify
from mmedge.runtime import machine
from mmedge.runtime.choosing import choose
from mmedge.runtime.machine import Machine, this_machine, versions
from mmedge.runtime.measured import Record, Timing, save_record
from mmedge.runtime.pipeline.binding import Inputs
from mmedge.runtime.pipeline.engine import Engine
from mmedge.runtime.pipeline.outputs import Outputs
from mmedge.runtime.pipeline.pipeline import Pipeline
from mmedge.runtime.pipeline.service import ServeConfig, serve
from mmedge.runtime.predictor import Predictor
from tests.conftest import DEMO
from tests.fakes import linear_bundle


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMEDGE_CACHE", str(tmp_path))


def keep(bundle: Bundle, *timings: tuple[str, str, float], **fields: Any) -> None:
    """Keep timings as if they had just been measured here."""
    rows = tuple(Timing(backend=b, plan=p, p50_ms=10 * r, ratio=r) for b, p, r in timings)
    here = {"machine": str(this_machine()), "versions": versions(["cpu"]), **fields}
    here.setdefault("reference", "cpu fp32")
    record = Record.model_validate({"digest": bundle.digest, "timings": rows, **here})
    save_record(record, bundle, this_machine())


def with_plan(**fields: Any) -> Bundle:
    """A bundle that has a second plan, ``low``, of the same float graphs."""
    made = linear_bundle()
    fp32 = made.manifest.plans["fp32"]
    low = fp32.model_copy(update={"precision": "int8", "target": "cpu", **fields})
    manifest = made.manifest.model_copy(update={"plans": {"fp32": fp32, "low": low}})
    return Bundle.in_memory(manifest, made.files)


def test_auto_takes_what_was_measured_and_says_so() -> None:
    bundle = linear_bundle()
    keep(bundle, ("cpu", "fp32", 1.0), ("openvino", "fp32", 0.75))
    choice = choose(bundle, "auto", "auto")
    assert (choice.backend, choice.plan) == ("openvino", "fp32")
    assert str(choice) == (
        "backend openvino, plan fp32: fastest here, 0.75 of the time of cpu fp32, as 'mmedge "
        "bench' measured"
    )


def test_with_other_threads_than_were_measured_the_record_does_not_count() -> None:
    bundle = linear_bundle()
    keep(bundle, ("cpu", "fp32", 1.0), ("openvino", "fp32", 0.5))
    assert choose(bundle, "auto", "auto", threads=1).backend == "openvino"
    choice = choose(bundle, "auto", "auto", threads=4)
    assert str(choice) == (
        "plan fp32: what 'mmedge bench' measured does not count: it was not with 4 threads"
    )


def test_without_a_record_auto_is_the_cpu_and_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "_version", lambda package: "1" if "runtime" in package else "")
    choice = choose(linear_bundle(), "auto", "auto")
    assert (choice.backend, choice.plan, str(choice)) == ("cpu", "fp32", "")


def test_without_a_record_it_is_said_which_other_backend_nobody_has_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "_version", lambda package: "1.0")  # but there is no driver
    monkeypatch.setattr(machine, "this_machine", lambda: Machine(cpu="Zen 3", cores=2))
    bundle = linear_bundle()
    assert str(choose(bundle, "auto", "auto")) == (
        "plan fp32: nothing was measured here; 'mmedge bench' tells whether openvino is faster"
    )
    assert str(choose(bundle, "cpu", "auto")) == ""
    with_gpu = Machine(cpu="Zen 3", cores=2, gpus=("RTX 4090",), driver="580.65")
    monkeypatch.setattr(machine, "this_machine", lambda: with_gpu)
    assert "tells whether cuda or onnxruntime-tensorrt or openvino or tensorrt" in str(
        choose(bundle, "auto", "auto")
    )


def test_a_stale_record_is_ignored_with_the_reason() -> None:
    bundle = linear_bundle()
    then = {**versions(["cpu"]), "mmedge": "0.0.9"}
    keep(bundle, ("openvino", "fp32", 0.5), versions=then)
    choice = choose(bundle, "auto", "auto")
    assert (choice.backend, choice.plan) == ("cpu", "fp32")
    assert "what 'mmedge bench' measured does not count: mmedge was 0.0.9 then" in str(choice)


def test_a_backend_that_is_named_is_taken_whatever_was_measured() -> None:
    bundle = linear_bundle()
    keep(bundle, ("cpu", "fp32", 1.0), ("openvino", "fp32", 0.1))
    choice = choose(bundle, "cpu", "auto")
    assert (choice.backend, str(choice)) == ("cpu", "")


def test_a_plan_that_is_named_is_taken_by_the_backend_that_is_fastest_with_it() -> None:
    bundle = with_plan()
    keep(bundle, ("cpu", "fp32", 1.0), ("cpu", "low", 0.5), ("openvino", "fp32", 0.8))
    assert choose(bundle, "auto", "auto").plan == "low"
    choice = choose(bundle, "auto", "fp32")
    assert (choice.backend, choice.plan) == ("openvino", "fp32")
    with pytest.raises(ConfigError, match="no plan 'none'"):
        choose(bundle, "auto", "none")


def test_a_measured_plan_that_this_cpu_would_compute_wrongly_is_not_taken() -> None:
    bundle = with_plan(instructions=("magic",))
    keep(bundle, ("cpu", "fp32", 1.0), ("cpu", "low", 0.5))
    choice = choose(bundle, "auto", "auto")
    assert choice.plan == "fp32"
    assert "does not count: plan 'low' needs magic" in choice.why


def test_the_predictor_the_proof_and_the_pipeline_run_what_was_measured(counting: Any) -> None:
    bundle = with_plan()
    keep(bundle, ("cpu", "fp32", 1.0), ("counting", "low", 0.5))
    with Predictor(bundle, backend="auto", plan="auto") as predictor:
        assert (predictor.backend, predictor.plan) == ("counting", "low")
    parity = verify(bundle, backend="auto", plan="auto")
    assert (parity.backend, parity.plan, parity.passed) == ("counting", "low", True)
    engine = Engine(bundle, LiveConfig(), lambda tick: None, backend="auto", plan="auto")
    assert (engine.predictor.backend, engine.predictor.plan) == ("counting", "low")
    engine.close()


def test_what_a_reload_chooses_is_told_like_what_the_start_does(
    counting: Any, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = linear_bundle(), linear_bundle(2)
    keep(first, ("cpu", "fp32", 1.0), ("counting", "fp32", 0.5))
    with Pipeline(first, backend="auto", plan="auto") as pipeline:
        pipeline.swap(second)
    told = [each.getMessage() for each in caplog.records if each.name.endswith(".engine")]
    at_start, at_reload = told
    assert at_start.startswith("backend counting, plan fp32: fastest here, 0.50 of the time")
    assert at_reload == (
        "plan fp32: what 'mmedge bench' measured does not count: the bundle has changed since"
    )


def test_serve_tells_its_choice_once(counting: Any, caplog: pytest.LogCaptureFixture) -> None:
    keep(open_bundle(DEMO), ("cpu", "fp32", 1.0), ("counting", "fp32", 0.5))
    told: list[str] = []
    config = ServeConfig(inputs=Inputs(), text="even", for_s=0.2, outputs=Outputs(as_json=True))
    serve(DEMO, config, lambda _: None, told.append)
    assert "plan fp32" not in " ".join(told)
    said = [each.getMessage() for each in caplog.records if "plan fp32" in each.getMessage()]
    assert len(said) == 1
    assert said[0].startswith("backend counting, plan fp32: fastest here")


def test_auto_serves_no_imitation() -> None:
    bundle = with_plan(target="tensorrt")
    with pytest.raises(IncompatibleError, match="not to serve"):
        Engine(bundle, LiveConfig(), lambda tick: None, backend="auto", plan="low")


def test_what_was_measured_and_cannot_run_any_more_is_an_error_and_no_fallback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = linear_bundle()
    keep(bundle, ("cpu", "fp32", 1.0), ("openvino", "fp32", 0.5))
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(IncompatibleError, match="the backend 'openvino' needs the package"):
        Predictor(bundle, backend="auto")
