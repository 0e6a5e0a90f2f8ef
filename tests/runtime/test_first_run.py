"""The first run in real processes: one measures, all are told, and half a record is none."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest
from filelock import FileLock

from mmedge.bundle import open_bundle, save_bundle
from mmedge.errors import IncompatibleError
from mmedge.runtime.first_run import first_run
from mmedge.runtime.measured import Record, fastest, find_record
from mmedge.runtime.predictor import Predictor
from tests.fakes import linear_bundle

ALONE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from pathlib import Path; "
    "from mmedge.runtime.first_run import first_run; first_run(Path(sys.argv[2]), 'x')"
)


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MMEDGE_CACHE", str(tmp_path / "cache"))
    save_bundle(linear_bundle(2), tmp_path / "two.mmedge")
    return tmp_path / "two.mmedge"


def run(bundle: Path) -> Record:
    return first_run(bundle, open_bundle(bundle).digest)


def test_what_another_process_measured_is_given_and_kept(bundle: Path) -> None:
    record = run(bundle)
    assert record.by == "first run"
    assert ("cpu", "fp32") in {(each.backend, each.plan) for each in record.timings}
    assert fastest(record.timings) is not None
    assert find_record(open_bundle(bundle)) == (record, "")


@pytest.mark.skipif(
    find_spec("openvino") is None, reason="needs openvino (pip install -e '.[dev,openvino]')"
)
def test_openvino_is_measured_where_it_is_installed(
    bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Predictor.open(bundle, backend="auto") as predictor:
        assert "as the first run measured" in str(predictor.choice)
    record, _ = find_record(open_bundle(bundle))
    assert record is not None
    assert {each.backend for each in record.timings} >= {"cpu", "openvino"}
    assert "first run here: measuring cpu" in caplog.text


def test_of_two_that_start_at_once_one_measures_and_both_have_it(bundle: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(run, [bundle, bundle])
    assert one == two  # times that were taken twice would differ
    assert find_record(open_bundle(bundle)) == (one, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_one_that_is_interrupted_leaves_no_record_and_holds_up_nobody(
    bundle: Path, tmp_path: Path, number: signal.Signals
) -> None:
    held = tmp_path / "cache" / "bench" / ".lock"
    command = [sys.executable, "-c", ALONE, json.dumps(sys.path), str(bundle)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        until_s = time.monotonic() + 20
        while not held.exists() and time.monotonic() < until_s:
            time.sleep(0.01)
        process.send_signal(number)
    assert process.returncode != 0
    with FileLock(held).acquire(timeout=20):
        kept = [file.name for file in held.parent.iterdir()]
    # Who is killed can end nobody: what it started comes to its end by itself.
    assert kept == [held.name] or (number == signal.SIGKILL and len(kept) == 2)
    assert run(bundle) == find_record(open_bundle(bundle))[0]


def test_a_start_does_not_wait_for_ever(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = tmp_path / "cache" / "bench" / ".lock"
    held.parent.mkdir(parents=True)
    monkeypatch.setattr("mmedge.runtime.first_run.PATIENCE_S", 0.5)
    begin_s = time.monotonic()
    with (
        FileLock(held).acquire(),
        pytest.raises(IncompatibleError, match=r"it took more than 0\.5 s; 'mmedge bench' has"),
    ):
        run(bundle)
    assert time.monotonic() - begin_s < 5
    assert find_record(open_bundle(bundle)) == (None, "")


def test_why_nothing_could_be_measured_is_told(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match="there is no bundle at"):
        first_run(tmp_path / "none.mmedge", "x")
    with pytest.raises(IncompatibleError, match="the bundle has changed meanwhile"):
        first_run(bundle, "another digest")


def test_what_could_not_be_kept_is_logged(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MMEDGE_CACHE", str(tmp_path / "file"))
    assert run(bundle).by == "first run"
    assert "not kept: " in caplog.text


@pytest.mark.parametrize(("name", "value"), [("frozen", True), ("executable", "")])
def test_a_program_that_is_no_python_is_not_started_again(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    monkeypatch.setattr(sys, name, value, raising=False)
    with pytest.raises(IncompatibleError, match="no Python that could be started once more"):
        run(bundle)
