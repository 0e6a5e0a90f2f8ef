"""The whole way of the shipped bundle where there is a GPU: built, audited, kept, and proven."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmedge.bundle import Bundle, open_bundle
from mmedge.engines import BuildConfig, build_engines
from mmedge.engines.driver import probe
from mmedge.errors import IncompatibleError
from mmedge.proof import verify
from tests.calibration.pairs import write_pairs

pytestmark = pytest.mark.gpu


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(params=["tensorrt", "tensorrt-rtx"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A backend that can run here, and a cache of the test's own."""
    try:
        probe()
    except IncompatibleError as exc:
        pytest.skip(str(exc))
    name = str(request.param)
    pytest.importorskip(name.replace("-", "_"))
    monkeypatch.setenv("MMEDGE_CACHE", str(tmp_path / "cache"))
    return name


def test_the_shipped_bundle_is_built_audited_kept_and_passes_its_own_proof(
    demo: Bundle, backend: str
) -> None:
    config = BuildConfig(plan="fp32", rtx=backend == "tensorrt-rtx")
    built = build_engines(demo, config)
    assert not any(engine.kept for engine in built.engines)
    computes = {engine.graph: set(engine.audit.precisions) for engine in built.engines}
    products = {"camera": {"Float"}, "mic": {"Float"}, "fusion": {"Float"}}
    assert computes == {**products, "hint": set()}  # recurrent layers are no products
    again = build_engines(demo, config)
    assert all(engine.kept for engine in again.engines)
    assert [each.audit for each in again.engines] == [each.audit for each in built.engines]
    assert verify(demo, backend=backend).passed


def test_a_plan_with_int8_computes_in_int8_and_passes_its_own_proof(
    mmedge: Run, demo_bundle: Path, tmp_path: Path, backend: str
) -> None:
    data = write_pairs(tmp_path / "few.jsonl", 99)
    arguments = ("--target", "tensorrt", "--precision", "mixed", "--max-drop", "20", "--no-build")
    code, out, _ = mmedge("calibrate", demo_bundle, "--data", data, *arguments, "--json")
    assert code == 0
    plan = json.loads(out)["outcomes"][0]["plan"]
    bundle = open_bundle(demo_bundle)
    built = build_engines(bundle, BuildConfig(plan=plan, rtx=backend == "tensorrt-rtx"))
    camera = next(each for each in built.engines if each.graph == "camera")
    assert camera.audit.precisions["Int8"] > 0
    assert verify(bundle, backend=backend, plan=plan).passed
