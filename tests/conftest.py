"""The shipped model, and backends that keep count, for every test that wants them."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mmedge.bundle import Bundle, open_bundle
from mmedge.proof.trust import load_golden
from mmedge.runtime.backends import BACKENDS, onnxruntime_cpu
from mmedge.runtime.predictor import Predictor

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # for tests that import it themselves
# A script that begins the tests in the background has them, and what they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

DEMO = Path(__file__).resolve().parents[1] / "mmedge" / "demo" / "digits.mmedge"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the user's own cache and key; child processes neither."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMEDGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_thread_a_worker() -> Iterator[None]:
    """Workers (``-n``) share the cores: a session computes with one thread, if nobody names more.

    ONNX Runtime would take one a core, and each spins in the other workers' time.
    """
    make = onnxruntime_cpu.make_options

    def with_one(ort: Any, *, threads: int | None, **options: bool) -> Any:
        return make(ort, threads=1 if threads is None else threads, **options)

    with pytest.MonkeyPatch.context() as patch:
        if "PYTEST_XDIST_WORKER" in os.environ:
            patch.setattr(onnxruntime_cpu, "make_options", with_one)
        yield


@pytest.fixture
def demo_bundle(tmp_path: Path) -> Path:
    """A copy of the shipped bundle that may be damaged."""
    return Path(shutil.copytree(DEMO, tmp_path / "digits.mmedge"))


@pytest.fixture(scope="session")
def demo() -> Bundle:
    """The shipped bundle, not to be changed."""
    return open_bundle(DEMO)


@pytest.fixture(scope="session")
def predictor(demo: Bundle) -> Iterator[Predictor]:
    """The shipped model, open."""
    with Predictor(demo, threads=1) as opened:
        yield opened


@pytest.fixture(scope="session")
def samples(demo: Bundle) -> list[Mapping[str, Any]]:
    """The shipped model's golden inputs, raw, by modality."""
    raw = load_golden(demo).raw
    return [
        {name: raws[i] for name, raws in raw.items()} for i in range(demo.manifest.golden.samples)
    ]


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class behind a backend named ``counting``, its books empty."""
    from tests.fakes import CountingBackend

    monkeypatch.setitem(BACKENDS, "counting", "tests.fakes:CountingBackend")
    monkeypatch.setattr(CountingBackend, "runs", [])
    monkeypatch.setattr(CountingBackend, "closed", [])
    return CountingBackend


@pytest.fixture
def mmedge(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command line, in this process: arguments -> exit code, stdout, stderr."""
    from mmedge.cli import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["mmedge", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return code or 0, out, err

    return run
