"""A process for each backend and plan: what it answers, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mmedge.bundle import save_bundle
from mmedge.errors import ConfigError, IncompatibleError, ResourceError
from mmedge.proof.bench.contestant import Contestant, _error
from tests.fakes import linear_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    save_bundle(linear_bundle(2), tmp_path / "two.mmedge")
    return tmp_path / "two.mmedge"


def pid(contestant: Contestant) -> int:
    process: subprocess.Popen[bytes] = vars(contestant)["_process"]
    return process.pid


def test_it_opens_takes_turns_tells_its_memory_and_proves_itself(bundle: Path) -> None:
    with Contestant("cpu", "fp32") as one:
        assert one.open(bundle, 1) == {
            "kind": "cpu",
            "threads": {"ant": 1, "bee": 1, "fusion": 1},
        }
        turn = one.ask("turn", ms=1)
        assert list(turn) == [
            "prepare ant",
            "encode ant",
            "prepare bee",
            "encode bee",
            "fusion",
            "whole",
        ]
        assert {len(times) for times in turn.values()} == {len(turn["whole"])}
        assert len(turn["whole"]) >= 3
        assert min(turn["whole"]) > 0
        if sys.platform == "linux":
            assert 2**24 < one.ask("memory")["peak_bytes"] < 2**30
        assert one.ask("verify")["passed"] is True


def test_what_it_raises_is_raised_here(bundle: Path) -> None:
    with Contestant("cpu", "none") as one:
        with pytest.raises(ConfigError, match="the bundle has no plan 'none'"):
            one.open(bundle, None)
        with pytest.raises(ConfigError, match="there is no bundle at"):
            one.open(bundle.with_name("no.mmedge"), None)


def test_a_crash_tells_its_signal(bundle: Path) -> None:
    with Contestant("cpu", "fp32") as one:
        one.open(bundle, 1)
        os.kill(pid(one), signal.SIGSEGV)
        with pytest.raises(IncompatibleError, match="cpu fp32: its process has ended: signal 11"):
            one.ask("turn", ms=1)


def test_a_bug_in_it_tells_its_last_line(bundle: Path) -> None:
    with Contestant("cpu", "fp32") as one:
        one.open(bundle, 1)
        with pytest.raises(IncompatibleError, match=r"exit code 1; AttributeError: .*'dance'"):
            one.ask("dance")


def test_while_it_works_somebody_may_watch(bundle: Path) -> None:
    seen: list[int] = []
    how: dict[str, Any] = {"bundle": str(bundle), "backend": "cpu", "plan": "fp32", "threads": 1}
    with Contestant("cpu", "fp32") as one:
        one.ask("open", watch=lambda: seen.append(1), **how)  # Python itself takes longer to start
    assert seen


def test_it_ends_when_it_is_closed(bundle: Path) -> None:
    one = Contestant("cpu", "fp32")
    number = pid(one)
    one.close()
    one.close()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_it_ends_with_its_parent() -> None:
    code = (
        "import os; from mmedge.proof.bench.contestant import Contestant; "
        "one = Contestant('cpu', 'fp32'); print(vars(one)['_process'].pid, flush=True); os._exit(1)"
    )
    root = Path(__file__).resolve().parents[3]
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    until_s = time.monotonic() + 20
    while Path(f"/proc/{int(told.stdout)}").exists() and time.monotonic() < until_s:
        if "Z" in Path(f"/proc/{int(told.stdout)}/stat").read_text().split()[2]:
            break  # ended, and nobody has asked how
        time.sleep(0.05)
    else:
        assert time.monotonic() < until_s


def test_memory_that_does_not_suffice_is_a_resource() -> None:
    assert isinstance(_error("MemoryError", "std::bad_alloc"), ResourceError)
    assert isinstance(_error("Unheard", "of"), IncompatibleError)
