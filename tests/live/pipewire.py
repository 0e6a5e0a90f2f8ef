"""A camera made by PipeWire, which OpenCV's V4L2 backend sees as index 0."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from mmedge._closing import Closing
from tests.live.rtsp import ROOT, SYSTEM_PYTHON

PROGRAMS = ("pipewire", "wireplumber", "pw-v4l2", "pw-cli", "dbus-daemon")


def missing() -> str:
    """What the camera needs and this machine lacks, as a reason to skip; empty if nothing."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"needs {', '.join(absent)}"
    script = [SYSTEM_PYTHON, "-m", "tests.live.pipewire_camera", "check"]
    found = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)
    lacking = (found.stdout or found.stderr).strip()
    return f"{SYSTEM_PYTHON} lacks for a PipeWire camera: {lacking}" if lacking else ""


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


class PipeWire(Closing):
    """A session of PipeWire of its own, with a camera of 640x480 at 30 Hz that can be unplugged.

    Attributes:
        environment: what a program needs to see it; run it by ``pw-v4l2``.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="pipewire")
        self._processes: list[subprocess.Popen[bytes]] = []
        self._camera: subprocess.Popen[bytes] | None = None
        self.environment: Mapping[str, str] = {**os.environ, "XDG_RUNTIME_DIR": self._folder.name}
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        bus = f"unix:path={self._folder.name}/bus"
        self.environment = {**self.environment, "DBUS_SESSION_BUS_ADDRESS": bus}
        self._run("dbus-daemon", "--session", "--nofork", f"--address={bus}")
        self._wait_for("bus")
        self._run("pipewire")
        self._wait_for("pipewire-0")
        self._run("wireplumber")
        self.plug()

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(process)
        return process

    def _wait_for(self, name: str) -> None:
        for _ in range(100):
            if Path(self._folder.name, name).exists():
                return
            time.sleep(0.05)
        raise TimeoutError(f"{name} did not appear")

    def plug(self) -> None:
        """Start the camera, and wait until it is listed. It serves one client per start."""
        self._camera = self._run(SYSTEM_PYTHON, "-m", "tests.live.pipewire_camera", "640", "480")
        for _ in range(100):
            nodes = subprocess.run(
                ["pw-cli", "list-objects", "Node"],
                env=self.environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if "fakecam" in nodes.stdout:
                time.sleep(0.3)  # until the session's manager knows it as well
                return
            time.sleep(0.1)
        raise TimeoutError("the camera did not appear in PipeWire")

    def show(self, film: Path, begin_ns: int, rate_hz: float) -> None:
        """Let the camera see a film from then on (`tests.live.pipewire_camera`)."""
        assert self._camera is not None
        assert self._camera.stdin is not None
        self._camera.stdin.write(f"{film} {begin_ns} {rate_hz}\n".encode())
        self._camera.stdin.flush()

    def freeze(self) -> None:
        assert self._camera is not None
        self._camera.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._camera is not None
        self._camera.send_signal(signal.SIGCONT)

    def unplug(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            self._processes.remove(camera)
            end(camera)

    def close(self) -> None:
        for process in reversed(self._processes):
            end(process)
        self._processes.clear()
        self._folder.cleanup()
