"""Engines of the demo and of three trained models, in every precision, for two kinds of GPU.

A pass means: valid for NVIDIA's parser and compiler, which compute and fuse as promised for
SM86 (Ampere) and SM120 (Blackwell). It does not mean that they run, or are fast, on a device.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install 'mmedge[rtx]'"
)

from mmedge.bundle import Bundle, file_ref, open_bundle
from mmedge.calibration.lowering import Lowered
from mmedge.engines import BuildConfig, build_engines
from mmedge.errors import ProofError
from mmedge.manifest import FUSION, Plan, Tolerance
from tests.calibration.pairs import write_pairs
from tests.rtx.auditing import audited
from tests.rtx.bindings import ROOT
from tests.rtx.real_models import REAL, real_bundle
from tests.rtx.test_compile import DEMO, graph_of
from tests.rtx.test_plans import in_half, names_of, plan
from tests.test_docs import blocks

pytestmark = [pytest.mark.rtx, pytest.mark.timeout(600)]

Run = Callable[..., tuple[int, str, str]]
PRECISIONS = ("fp32", "fp16", "int8", "mixed")
TARGETS = ("sm86", "sm120")


def lowered(model: bytes, precision: str, *, head: bool = False) -> Lowered:
    """Lower a graph by what some drawn inputs reach; heads are never INT8.

    ``int8`` leaves the rest in FP32, ``mixed`` has every other layer in INT8 and the rest in
    FP16. Both products of an attention are in INT8 or neither.
    """
    layers = names_of(model)
    if precision == "fp32":
        return Lowered(model=model, int8=())
    if precision == "fp16" or head or not layers:
        return Lowered(model=in_half(model), int8=())
    if precision == "int8":
        return plan(model, layers, "fp32", eased=False)
    weighted = sorted(names_of(model, attention=False))
    return plan(model, frozenset(weighted[::2]), "fp16", eased=False)


def with_plan(bundle: Bundle, precision: str) -> Bundle:
    """A bundle, in memory, that has one plan for TensorRT."""
    graphs, files, int8 = {}, {}, {}
    for name in bundle.manifest.graphs:
        made = lowered(graph_of(bundle, name), precision, head=name == FUSION)
        graphs[name] = file_ref(f"{name}-{precision}", ".onnx", made.model)
        files[graphs[name].name] = made.model
        if made.int8:
            int8[name] = made.int8
    some = Tolerance(absolute=0.1, relative=0.0)
    made_plan = Plan.model_validate(
        {
            "precision": precision,
            "target": "tensorrt",
            "graphs": graphs,
            "tolerances": {"cpu": some, "gpu": some},
            "int8": int8,
        }
    )
    plans = {**bundle.manifest.plans, "made": made_plan}
    manifest = bundle.manifest.model_copy(update={"plans": plans})
    held = {ref.name: bundle.files[ref.name] for ref in bundle.manifest.files}
    return Bundle.in_memory(manifest, {**held, **files})


EXPECTED = {
    "fp32": {"camera": {"Float": 7}, "mic": {"Float": 9}, "hint": {}, "fusion": {"Float": 2}},
    "fp16": {
        "camera": {"Half": 7},
        "mic": {"Float": 3, "Half": 6},  # its front-end is never lowered
        "hint": {},  # recurrent layers are no products
        "fusion": {"Half": 2},
    },
    "int8": {
        "camera": {"Int8": 7},
        "mic": {"Float": 3, "Int8": 6},
        "hint": {},
        "fusion": {"Half": 2},
    },
    "mixed": {
        "camera": {"Half": 3, "Int8": 4},
        "mic": {"Float": 3, "Half": 3, "Int8": 3},
        "hint": {},
        "fusion": {"Half": 2},
    },
}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_graph_of_the_demo_computes_as_its_plan_says(precision: str, tmp_path: Path) -> None:
    bundle = with_plan(open_bundle(DEMO), precision)
    for target in TARGETS:
        report = build_engines(bundle, BuildConfig(ahead_of_time=target, out=tmp_path))
        # What `auto` takes: in FP32, the plan that is for any target.
        assert report.plan == ("fp32" if precision == "fp32" else "made")
        assert {each.graph: each.audit.precisions for each in report.engines} == EXPECTED[precision]
    written = json.loads((tmp_path / "build.json").read_text())
    assert written["ahead_of_time"] is True
    assert written["where"].startswith("sm120, tensorrt_rtx ")
    assert len(list(tmp_path.glob("*.engine"))) == 8


def test_a_plan_that_says_int8_and_is_none_fails(tmp_path: Path) -> None:
    bundle = with_plan(open_bundle(DEMO), "fp16")
    plan_ = bundle.manifest.plans["made"].model_copy(
        update={"precision": "int8", "int8": {"camera": ("encoder.features.2.1/Conv",)}}
    )
    plans = {**bundle.manifest.plans, "made": plan_}
    manifest = bundle.manifest.model_copy(update={"plans": plans})
    with pytest.raises(ProofError, match=r"lists 'encoder\.features\.2\.1/Conv' as INT8") as raised:
        build_engines(
            Bundle.in_memory(manifest, bundle.files),
            BuildConfig(ahead_of_time="sm86", out=tmp_path),
        )
    assert raised.value.exit_code == 7
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module", params=sorted(REAL))
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return real_bundle(request.param, tmp_path_factory.mktemp("real"))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_graph_of_a_trained_model_computes_as_its_plan_says(
    real: Bundle, precision: str
) -> None:
    once = {ref.sha256: name for name, ref in real.manifest.plans["fp32"].graphs.items()}
    for name in once.values():
        made = lowered(graph_of(real, name), precision, head=name == FUSION)
        for target in TARGETS:
            compiled, found = audited(made.model, made.int8, target)
            assert len(compiled.engine) > 1000
            assert found.precisions.get("Int8", 0) == len(made.int8)
            if precision != "fp32":  # in FP32, this compiler fuses none
                assert found.fused == found.attentions
            if name == "one":
                assert found.attentions == 6  # MiniLM has six layers


def test_the_command_builds_ahead_of_time_and_says_what_that_means(
    mmedge: Run, tmp_path: Path
) -> None:
    code, out, _ = mmedge("build", DEMO, "--ahead-of-time", "sm86", "-o", tmp_path / "engines")
    assert code == 0
    assert "the bundle has no plan for TensorRT; 'mmedge calibrate' makes one" in out
    assert "valid for NVIDIA's compiler, and never run" in out
    code, out, _ = mmedge(
        "build", DEMO, "--ahead-of-time", "sm86", "-o", tmp_path / "engines", "--json"
    )
    assert [each["graph"] for each in json.loads(out)["engines"]] == [
        "camera", "mic", "hint", "fusion",
    ]  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_while_the_real_compiler_works_ends_with_130(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mmedge", "build", str(DEMO), "--ahead-of-time", "sm86"]
    with subprocess.Popen(
        [*command, "-o", str(tmp_path / "engines")], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("camera: build"))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.endswith("mmedge: interrupted\n")
    assert not (tmp_path / "engines" / "build.json").exists()


def test_a_calibration_ends_with_an_audit(mmedge: Run, demo_bundle: Path, tmp_path: Path) -> None:
    code, out, _ = mmedge(
        "calibrate", demo_bundle, "--data", write_pairs(tmp_path / "few.jsonl", 99), "--target",
        "tensorrt", "--precision", "mixed", "--max-drop", "20", "--json",
    )  # fmt: skip
    assert code == 0
    found = json.loads(out)
    engines = found["engines"]
    if engines["report"] is None:  # with a GPU and without TensorRT
        pytest.skip(engines["why"])
    assert engines["report"]["plan"] == found["outcomes"][0]["plan"]
    counts = {each["graph"]: each["audit"]["precisions"] for each in engines["report"]["engines"]}
    assert counts["camera"]["Int8"] > 0
    assert all(each["audit"]["wrong"] == [] for each in engines["report"]["engines"])
    bundle = open_bundle(demo_bundle)
    kept = json.loads(bundle.read(bundle.manifest.reports["calibration"]))
    assert kept["engines"] == engines


def test_the_example_of_the_page_on_engines_runs(
    demo_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(demo_bundle.parent)
    (example,) = blocks(ROOT / "docs" / "engines.md", "python")
    exec(compile(example, "docs/engines.md", "exec"), {})  # noqa: S102 - our own page
    assert capsys.readouterr().out.startswith("sm86, tensorrt_rtx ")
