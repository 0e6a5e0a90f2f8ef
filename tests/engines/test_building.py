"""The engines of a bundle, with a stand-in for TensorRT and a real cache."""

from __future__ import annotations

import errno
import signal
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mmedge.bundle import Bundle
from mmedge.engines import building
from mmedge.engines.audit import read_promise
from mmedge.engines.builder import Compiled
from mmedge.engines.building import build_engines, choose_plan_for_engines
from mmedge.engines.cache import EngineCache
from mmedge.engines.config import BuildConfig
from mmedge.engines.graph import PlanGraph
from mmedge.errors import ConfigError, IncompatibleError, ProofError, ResourceError
from mmedge.manifest import Plan
from tests.engines.fake_tensorrt import FakeTensorRT, toolkit_of
from tests.engines.requests import cache_in


def plan_of(plan: Plan, precision: str, target: str) -> Plan:
    return plan.model_copy(update={"precision": precision, "target": target})


@pytest.fixture
def plans(demo: Bundle) -> dict[str, Plan]:
    fp32 = demo.manifest.plans["fp32"]
    return {
        "fp32": fp32,
        "half": plan_of(fp32, "fp16", "tensorrt"),
        "both": plan_of(fp32, "mixed", "tensorrt"),
        "cpu": plan_of(fp32, "int8", "cpu"),
    }


def test_auto_takes_the_lowest_precision_for_tensorrt(plans: dict[str, Plan]) -> None:
    assert choose_plan_for_engines(plans, "auto") == ("both", "")
    assert choose_plan_for_engines(plans, "half") == ("half", "")
    assert choose_plan_for_engines(plans, "fp32") == ("fp32", "")


def test_auto_takes_float32_where_there_is_no_plan_for_tensorrt_and_says_so(
    plans: dict[str, Plan],
) -> None:
    few = {name: plans[name] for name in ("fp32", "cpu")}
    name, why = choose_plan_for_engines(few, "auto")
    assert name == "fp32"
    assert "'mmedge calibrate' makes one" in why


def test_a_plan_that_is_not_there_or_for_cpus_is_refused(plans: dict[str, Plan]) -> None:
    with pytest.raises(ConfigError, match="no plan 'int8'; it has fp32, half, both, cpu"):
        choose_plan_for_engines(plans, "int8")
    with pytest.raises(IncompatibleError, match="plan 'cpu' is for CPUs"):
        choose_plan_for_engines(plans, "cpu")


def listed(bundle: Bundle, precision: str) -> list[dict[str, Any]]:
    """What an inspector says of engines that compute all products of a bundle in one type."""
    graphs = [
        PlanGraph(bundle.read(ref), name)
        for name, ref in bundle.manifest.plans["fp32"].graphs.items()
    ]
    return [
        {
            "Name": product,
            "LayerType": "gemm",
            "Inputs": [{"Name": "a", "Format/Datatype": precision}],
            "Metadata": f"[ONNX Layer: {product}]",
        }
        for graph in graphs
        for product in read_promise(graph, ()).products
    ]


def using(monkeypatch: pytest.MonkeyPatch, fake: FakeTensorRT) -> FakeTensorRT:
    monkeypatch.setattr(building, "open_toolkit", lambda name: toolkit_of(fake))
    return fake


def test_every_graph_is_built_once_audited_and_kept(
    monkeypatch: pytest.MonkeyPatch, demo: Bundle, tmp_path: Path
) -> None:
    fake = using(monkeypatch, FakeTensorRT(layers=listed(demo, "Float")))
    said: list[str] = []
    first = build_engines(demo, BuildConfig(), cache=cache_in(tmp_path), say=said.append)
    again = build_engines(demo, BuildConfig(), cache=cache_in(tmp_path))
    assert fake.builds == 4
    assert [each.graph for each in first.engines] == ["camera", "mic", "hint", "fusion"]
    assert [each.kept for each in (*first.engines, *again.engines)] == [False] * 4 + [True] * 4
    assert first.engines[0].audit.precisions == {"Float": 7}
    assert [each.audit for each in first.engines] == [each.audit for each in again.engines]
    assert first.where == "Orin (8.7), driver 540.4.0, CUDA 12.6, tensorrt 10.3.0"
    assert said[:4] == ["camera: there is none yet", "camera: check", "camera: build", said[3]]
    assert fake.opened == [b"an engine"] * 4  # what was built just now, and nothing of the cache


def test_an_engine_that_computes_otherwise_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, demo: Bundle, tmp_path: Path
) -> None:
    using(monkeypatch, FakeTensorRT(layers=listed(demo, "Half")))
    cache = cache_in(tmp_path)
    with pytest.raises(ProofError, match=r"graph 'camera' of plan .* takes Half where Float"):
        build_engines(demo, BuildConfig(), cache=cache)
    assert cache.entries() == ()


@pytest.mark.parametrize(("rtx", "name"), [(False, "tensorrt"), (True, "tensorrt_rtx")])
def test_the_toolkit_that_is_asked_for_builds(
    monkeypatch: pytest.MonkeyPatch, demo: Bundle, tmp_path: Path, rtx: bool, name: str
) -> None:
    toolkit = replace(toolkit_of(FakeTensorRT(layers=listed(demo, "Float"))), name=name)
    asked: list[str] = []
    monkeypatch.setattr(building, "installed_toolkit", lambda: "tensorrt")
    monkeypatch.setattr(building, "open_toolkit", lambda each: asked.append(each) or toolkit)
    cache = cache_in(tmp_path)
    build_engines(demo, BuildConfig(rtx=rtx), cache=cache)
    assert asked == [name]
    heads = [each.head for each in cache.entries()]
    assert {head.request.place.toolkit for head in heads if head is not None} == {name}


def test_another_batch_is_another_engine(
    monkeypatch: pytest.MonkeyPatch, demo: Bundle, tmp_path: Path
) -> None:
    fake = using(monkeypatch, FakeTensorRT(layers=listed(demo, "Float")))
    said: list[str] = []
    build_engines(demo, BuildConfig(), cache=cache_in(tmp_path))
    build_engines(demo, BuildConfig(max_batch=32), cache=cache_in(tmp_path), say=said.append)
    assert fake.builds == 8
    assert said[0] == "camera: its profile is another"


CHANGES: dict[str, Any] = {
    "plan": "half",
    "max_batch": 2,
    "workspace_bytes": 2**28,
    "dla_core": 0,
    "rtx": True,
}
AHEAD_OF_TIME = {"ahead_of_time", "out"}  # nothing of it is kept in the cache


def test_every_option_is_among_those_that_are_tried() -> None:
    assert {each.name for each in fields(BuildConfig)} == CHANGES.keys() | AHEAD_OF_TIME


@pytest.mark.parametrize("field", CHANGES)
def test_an_option_that_is_another_has_every_engine_built_anew(
    monkeypatch: pytest.MonkeyPatch, demo: Bundle, tmp_path: Path, field: str
) -> None:
    fake = FakeTensorRT(layers=listed(demo, "Float"), dla_cores=1)
    monkeypatch.setattr(building, "installed_toolkit", lambda: "tensorrt")
    toolkit = toolkit_of(fake)
    monkeypatch.setattr(building, "open_toolkit", lambda name: replace(toolkit, name=name))
    fp32 = demo.manifest.plans["fp32"]
    manifest = demo.manifest.model_copy(
        update={"plans": {"fp32": fp32, "half": plan_of(fp32, "fp16", "any")}}
    )
    bundle = Bundle.in_memory(manifest, demo.files)
    usual = BuildConfig(plan="fp32", max_batch=1)
    build_engines(bundle, usual, cache=cache_in(tmp_path))
    before = fake.builds
    changed = replace(usual, **{field: CHANGES[field]})
    again = build_engines(bundle, changed, cache=cache_in(tmp_path))
    # The head is never for a DLA, and has room for the rows of an explained answer anyway.
    kept = ["fusion"] if field in ("dla_core", "max_batch") else []
    assert [each.graph for each in again.engines if each.kept] == kept
    assert fake.builds - before == 4 - len(kept)


def test_two_modalities_of_the_same_file_are_compiled_once(
    monkeypatch: pytest.MonkeyPatch, demo: Bundle, tmp_path: Path
) -> None:
    fake = using(monkeypatch, FakeTensorRT(layers=listed(demo, "Float")))
    graphs = demo.manifest.plans["fp32"].graphs
    twice = demo.manifest.plans["fp32"].model_copy(
        update={"graphs": {"camera": graphs["camera"], "hint": graphs["camera"]}}
    )
    specs = demo.manifest.graphs | {"hint": demo.manifest.graphs["camera"]}
    manifest = demo.manifest.model_copy(update={"plans": {"fp32": twice}, "graphs": specs})
    bundle = Bundle.in_memory(manifest, demo.files)
    report = build_engines(bundle, BuildConfig(), cache=cache_in(tmp_path))
    assert [(each.graph, each.kept) for each in report.engines] == [
        ("camera", False), ("hint", True),
    ]  # fmt: skip
    assert fake.builds == 1


def test_a_bundle_larger_than_the_users_cache_may_be_keeps_all_its_engines(
    monkeypatch: pytest.MonkeyPatch, demo: Bundle, tmp_path: Path
) -> None:
    monkeypatch.setenv("MMEDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(building, "EngineCache", partial(EngineCache, limit_bytes=10))
    using(monkeypatch, FakeTensorRT(layers=listed(demo, "Float")))
    build_engines(demo, BuildConfig())
    assert len(EngineCache().entries()) == 4


def test_what_the_compiler_warns_of_is_noted_and_kept(
    monkeypatch: pytest.MonkeyPatch, demo: Bundle, tmp_path: Path
) -> None:
    fake = using(monkeypatch, FakeTensorRT(layers=listed(demo, "Float"), says="careful"))
    for _ in range(2):
        report = build_engines(demo, BuildConfig(), cache=cache_in(tmp_path))
        assert {each.notes for each in report.engines} == {("TensorRT warns: careful",)}
    assert fake.builds == 4


def test_of_many_warnings_the_first_are_noted_and_the_others_counted() -> None:
    warnings = tuple(f"warning {number}" for number in range(5))
    compiled = Compiled(engine=b"", layers="", seconds=1.0, warnings=warnings, notes=("a",))
    said = "TensorRT warns: warning 0; warning 1; warning 2; and 2 more"
    assert building._notes(compiled) == ("a", said)


def test_what_the_compiler_measures_is_given_to_it_again(
    monkeypatch: pytest.MonkeyPatch, demo: Bundle, tmp_path: Path
) -> None:
    fake = using(monkeypatch, FakeTensorRT(layers=listed(demo, "Float"), timed=True))
    build_engines(demo, BuildConfig(), cache=cache_in(tmp_path))
    build_engines(demo, BuildConfig(max_batch=32), cache=cache_in(tmp_path))
    assert fake.settings.given == [b"." * count for count in range(8)]
    assert len(cache_in(tmp_path).entries()) == 4  # it is no engine


def test_tensorrt_rtx_is_given_no_timings(
    monkeypatch: pytest.MonkeyPatch, demo: Bundle, tmp_path: Path
) -> None:
    fake = FakeTensorRT(layers=listed(demo, "Float"), timed=True)
    toolkit = replace(toolkit_of(fake), name="tensorrt_rtx")
    monkeypatch.setattr(building, "open_toolkit", lambda name: toolkit)
    cache = cache_in(tmp_path)
    build_engines(demo, BuildConfig(rtx=True), cache=cache)
    assert fake.settings.given == []
    assert not (cache.folder / "timings").exists()


def ahead_of_time(monkeypatch: pytest.MonkeyPatch, demo: Bundle) -> FakeTensorRT:
    """A stand-in that compiles for a GPU that is not here."""
    lines = (
        f"Name: {each['Name']}, LayerType: gemm, Inputs: [ {{ Name: a, Datatype: Float }}], Out"
        f"puts: [], Metadata: {each['Metadata']}"
        for each in listed(demo, "Float")
    )
    fake = FakeTensorRT(listing="\n".join(("Layers:", *lines)))
    toolkit = replace(toolkit_of(fake), name="tensorrt_rtx", driver=None)
    monkeypatch.setattr(building, "open_toolkit", lambda name, needs_gpu: toolkit)
    return fake


def test_ahead_of_time_every_graph_is_a_file_and_the_report_stands_beside(
    monkeypatch: pytest.MonkeyPatch, demo: Bundle, tmp_path: Path
) -> None:
    fake = ahead_of_time(monkeypatch, demo)
    build_engines(demo, BuildConfig(ahead_of_time="sm86", out=tmp_path / "out"))
    assert fake.settings.told["capability"] == "SM86"
    assert {each.name for each in (tmp_path / "out").iterdir()} == {
        "build.json",
        *(f"{graph}-fp32-sm86.engine" for graph in ("camera", "mic", "hint", "fusion")),
    }
    assert (tmp_path / "out" / "mic-fp32-sm86.engine").read_bytes() == b"an engine"


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, ResourceError), (errno.EACCES, ConfigError)]
)
def test_a_folder_that_is_full_is_another_error_than_one_that_may_not_be_written(
    monkeypatch: pytest.MonkeyPatch,
    demo: Bundle,
    tmp_path: Path,
    number: int,
    kind: type[Exception],
) -> None:
    def refuse(path: Path, *parts: bytes) -> None:
        raise OSError(number, "refused", str(path))

    ahead_of_time(monkeypatch, demo)
    monkeypatch.setattr(building, "write_whole", refuse)
    with pytest.raises(kind, match=r"camera-fp32-sm86\.engine cannot be written: refused"):
        build_engines(demo, BuildConfig(ahead_of_time="sm86", out=tmp_path))


def test_what_was_built_before_ctrl_c_is_kept(
    monkeypatch: pytest.MonkeyPatch, demo: Bundle, tmp_path: Path
) -> None:
    fake = using(monkeypatch, FakeTensorRT(layers=listed(demo, "Float")))

    def say(stage: str) -> None:
        if stage == "mic: build":
            fake.interrupted = signal.SIGINT

    cache = cache_in(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        build_engines(demo, BuildConfig(), cache=cache, say=say)
    heads = [each.head for each in cache.entries()]
    assert [head.request.graph for head in heads if head is not None] == ["camera"]
