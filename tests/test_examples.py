"""The example that embeds a pipeline, run as its users run it, with simulated devices."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import DEMO

ROOT = Path(__file__).resolve().parents[1]
DEVICES = Path(__file__).parent / "simulated_devices"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_the_embedded_app_tells_the_digits_that_it_sees_and_hears() -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": f"{DEVICES}{os.pathsep}{ROOT}",
        "PYTHONUNBUFFERED": "1",
        "BEGIN_NS": str(time.monotonic_ns() + 3 * 10**9),
    }
    with subprocess.Popen(
        [sys.executable, "examples/embedded_app.py", str(DEMO)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as app:
        assert app.stdout is not None
        told = [app.stdout.readline().split()[:2] for _ in range(4)]
        app.send_signal(signal.SIGINT)
        out, err = app.communicate(timeout=20)
    assert told == [["three", "began"], ["three", "ended"], ["seven", "began"], ["seven", "ended"]]
    assert (app.returncode, err) == (0, ""), out
