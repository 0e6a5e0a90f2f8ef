"""What the process of one backend and plan does: as `serve` opens it, and what it proves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmedge.bundle import save_bundle
from mmedge.proof.bench.child import CLEAR, Contest
from mmedge.runtime import predictor, warming
from tests.fakes import linear_bundle

ROOT = Path(__file__).resolve().parents[3]
# What was taken before the graphs were opened: 256 MiB, touched, and given back.
BEFORE = """
import sys
import numpy as np
from mmedge.proof.bench.child import Contest, peak_bytes
np.ones(2**25)
before = peak_bytes()
with_graphs = Contest(bundle=sys.argv[1], backend="cpu", plan="fp32", threads=1)
print(before, with_graphs.memory()["peak_bytes"])
"""


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    save_bundle(linear_bundle(2), tmp_path / "two.mmedge")
    return str(tmp_path / "two.mmedge")


def opened(bundle: str, threads: int | None) -> Contest:
    return Contest(bundle=bundle, backend="cpu", plan="fp32", threads=threads)


def test_a_slow_graph_has_more_threads_as_in_serve_unless_it_is_said_how_many(
    bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warming, "SLOW_MS", -1.0)
    assert opened(bundle, None).opened()["threads"] == {"ant": None, "bee": None, "fusion": None}
    assert opened(bundle, 2).opened()["threads"] == {"ant": 2, "bee": 2, "fusion": 2}
    monkeypatch.setattr(warming, "SLOW_MS", 1e6)
    assert opened(bundle, None).opened()["threads"] == {"ant": 1, "bee": 1, "fusion": 1}


def test_what_had_its_turns_is_what_is_proven(bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warming, "SLOW_MS", -1.0)
    contest = opened(bundle, None)
    monkeypatch.setattr(predictor, "open_backend", _refuse)  # the graphs that are open, no others
    assert contest.verify()["passed"] is True
    assert contest.turn(1)["whole"]  # and they are open still


def _refuse(*_: Any, **__: Any) -> None:
    raise AssertionError("a graph was opened once more")


def test_the_memory_is_what_predicting_takes_not_what_was_taken_before(bundle: str) -> None:
    try:
        CLEAR.write_text("5", encoding="utf-8")
    except OSError:
        pytest.skip("this system does not let a process count its peak anew")
    told = subprocess.run(
        [sys.executable, "-c", BEFORE, bundle], cwd=ROOT, capture_output=True, text=True, check=True
    )
    before, after = map(int, told.stdout.split())
    assert before > 2**28
    assert after < before - 2**27
