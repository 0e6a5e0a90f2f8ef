"""The whole way of the shipped bundle where there is a GPU: built, audited, kept, and proven."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmedge.bundle import Bundle
from mmedge.engines import BuildConfig, build_engines
from mmedge.engines.driver import probe
from mmedge.errors import IncompatibleError
from mmedge.proof import verify

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx"])
def test_the_shipped_bundle_is_built_audited_kept_and_passes_its_own_proof(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, demo: Bundle, backend: str
) -> None:
    try:
        probe()
    except IncompatibleError as exc:
        pytest.skip(str(exc))
    pytest.importorskip(backend.replace("-", "_"))
    monkeypatch.setenv("MMEDGE_CACHE", str(tmp_path))
    config = BuildConfig(plan="fp32", rtx=backend == "tensorrt-rtx")
    built = build_engines(demo, config)
    assert not any(engine.kept for engine in built.engines)
    computes = {engine.graph: set(engine.audit.precisions) for engine in built.engines}
    products = {"camera": {"Float"}, "mic": {"Float"}, "fusion": {"Float"}}
    assert computes == {**products, "hint": set()}  # a table that is looked up multiplies nothing
    again = build_engines(demo, config)
    assert all(engine.kept for engine in again.engines)
    assert [each.audit for each in again.engines] == [each.audit for each in built.engines]
    assert verify(demo, backend=backend).passed
