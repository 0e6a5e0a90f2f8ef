"""``--backend auto``: what was measured is taken, what is asked for by name is too."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmedge import LiveConfig
from mmedge.bundle import Bundle, open_bundle, save_bundle
from mmedge.errors import ConfigError, IncompatibleError
from mmedge.proof.verify import verify
from mmedge.runtime import first_run, machine
from mmedge.runtime.choosing import choose
from mmedge.runtime.machine import Machine, this_machine, versions
from mmedge.runtime.measured import Record, Timing, find_record, save_record
from mmedge.runtime.pipeline.binding import Inputs
from mmedge.runtime.pipeline.engine import Engine
from mmedge.runtime.pipeline.outputs import Outputs
from mmedge.runtime.pipeline.pipeline import Pipeline
from mmedge.runtime.pipeline.recorder import RecordConfig
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
    assert str(choice) == ("plan fp32: what was measured does not count: it was not with 4 threads")


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
    assert "what was measured does not count: mmedge was 0.0.9 then" in str(choice)


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
        "plan fp32: what was measured does not count: the bundle has changed since"
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


class OtherProcess:
    """Stands for the process of a first run: counts, and gives what it is given."""

    def __init__(self) -> None:
        self.asked: list[Path] = []
        self.found: dict[str, float] | IncompatibleError = {"cpu": 1.0, "counting": 0.5}

    def __call__(self, bundle: Path, digest: str) -> Record:
        self.asked.append(bundle)
        if isinstance(self.found, IncompatibleError):
            raise self.found
        keep(
            open_bundle(bundle),
            *((backend, "fp32", ratio) for backend, ratio in self.found.items()),
            by="first run",
        )
        record, _ = find_record(open_bundle(bundle))
        assert record is not None
        return record


@pytest.fixture
def other(counting: Any, monkeypatch: pytest.MonkeyPatch) -> OtherProcess:
    """A machine where OpenVINO is installed as well, and nobody has measured."""
    stand_in = OtherProcess()
    monkeypatch.setattr(first_run, "first_run", stand_in)
    monkeypatch.setattr(machine, "installed", lambda here: ("cpu", "openvino"))
    return stand_in


@pytest.fixture
def saved(tmp_path: Path) -> Bundle:
    save_bundle(linear_bundle(), tmp_path / "three.mmedge")
    return open_bundle(tmp_path / "three.mmedge")


def test_the_first_run_measures_and_the_next_take_it_and_say_so(
    other: OtherProcess, saved: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        with Predictor(saved, backend="auto", plan="auto") as predictor:
            assert str(predictor.choice) == (
                "backend counting, plan fp32: fastest here, 0.50 of the time of cpu fp32, as the "
                "first run measured"
            )
    assert other.asked == [saved.path]
    assert [each.getMessage() for each in caplog.records] == [
        "first run here: measuring cpu, openvino, which takes some seconds"
    ]


def test_what_is_stale_is_measured_anew_and_it_is_said_why(
    other: OtherProcess, saved: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    keep(saved, ("cpu", "fp32", 1.0), versions={**versions(["cpu"]), "mmedge": "0.0.9"})
    assert choose(saved, "auto", "auto", measure=True).backend == "counting"
    assert "first run here (mmedge was 0.0.9 then and is" in caplog.text


def test_what_a_bench_found_is_not_measured_again(other: OtherProcess, saved: Bundle) -> None:
    keep(saved, ("cpu", "fp32", 1.0))
    assert choose(saved, "auto", "auto", measure=True).backend == "cpu"
    assert other.asked == []


def test_nothing_is_measured_where_there_is_nothing_to_choose(
    other: OtherProcess, saved: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose(linear_bundle(), "auto", "auto", measure=True).backend == "cpu"  # in memory
    assert choose(saved, "auto", "auto", threads=4, measure=True).backend == "cpu"
    assert choose(saved, "cpu", "auto", measure=True).backend == "cpu"
    with pytest.raises(ConfigError, match="no plan 'none'"):
        choose(saved, "auto", "none", measure=True)
    monkeypatch.setattr(machine, "installed", lambda here: ("cpu",))
    assert str(choose(saved, "auto", "auto", measure=True)) == ""
    assert other.asked == []


def test_a_first_run_that_fails_is_said_and_the_cpu_runs(
    other: OtherProcess, saved: Bundle
) -> None:
    other.found = IncompatibleError("no backend gives the trained model's numbers")
    assert str(choose(saved, "auto", "auto", measure=True)) == (
        "plan fp32: nothing could be measured here: no backend gives the trained model's numbers"
    )


def test_a_pipeline_measures_at_its_start_and_not_while_it_serves(
    other: OtherProcess, saved: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_bundle(linear_bundle(samples=2), tmp_path / "next.mmedge")
    following = open_bundle(tmp_path / "next.mmedge")
    trust = lambda bundle: verify(bundle, backend="auto", plan="auto") and None  # noqa: E731
    with Pipeline(saved, backend="auto", plan="auto") as pipeline:
        pipeline.swap(following, trust)
        assert (
            "plan fp32: what was measured does not count: the bundle has changed since"
            in caplog.text
        )
    assert other.asked == [saved.path]


@pytest.mark.parametrize("replay", ["as-run", "ideal"])
def test_a_replay_measures_nothing(other: OtherProcess, tmp_path: Path, replay: str) -> None:
    folder = tmp_path / "a.recording"
    quiet = Outputs(as_json=True)
    live = ServeConfig(
        inputs=Inputs(),
        text="even",
        for_s=0.5,
        outputs=replace(quiet, record=RecordConfig(path=folder)),
        backend="cpu",
    )
    serve(DEMO, live, lambda _: None)
    log = folder / "log.jsonl"  # an older one, which does not tell what ran
    rows = [row for row in log.read_text().splitlines() if '"threads"' not in row]
    log.write_text("".join(f"{row}\n" for row in rows))
    again = ServeConfig(inputs=Inputs(), recording=folder, replay=replay, outputs=quiet)
    assert serve(DEMO, again, lambda _: None) == "the recording has come to its end"
    assert other.asked == []


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
