"""A real RTSP server on loopback, which can be killed and frozen."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from functools import cache
from pathlib import Path

from mmedge._closing import Closing

ROOT = Path(__file__).resolve().parents[2]
SYSTEM_PYTHON = "/usr/bin/python3"  # the one that sees Debian's GStreamer


@cache
def missing() -> str:
    """What the server needs and this machine lacks, as a reason to skip; empty if nothing."""
    try:
        found = subprocess.run(
            [SYSTEM_PYTHON, "-m", "tests.live.rtsp_server", "check"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as exc:
        return f"needs {SYSTEM_PYTHON} with GStreamer: {exc}"
    lacking = ", ".join(found.stdout.split("\n")).strip(", ")
    return f"{SYSTEM_PYTHON} lacks for an RTSP server: {lacking}" if lacking else ""


class RtspServer(Closing):
    """A camera of 640x480 at 30 Hz with sound, at the same address after every start."""

    def __init__(self, *, login: str = "") -> None:
        self._login = login
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._process: subprocess.Popen[str] | None = None
        self.start()

    def url(self, login: str | None = None) -> str:
        login = self._login if login is None else login
        return f"rtsp://{login}{'@' if login else ''}127.0.0.1:{self._port}/cam"

    def start(self) -> None:
        command = [SYSTEM_PYTHON, "-m", "tests.live.rtsp_server", "640", "480", "30"]
        self._process = subprocess.Popen(
            [*command, str(self._port), self._login], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def freeze(self) -> None:
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, what: signal.Signals) -> None:
        if self._process is not None:
            os.kill(self._process.pid, what)

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()
