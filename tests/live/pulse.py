"""A microphone on a machine without one: PulseAudio's null sinks, heard through their monitors."""

from __future__ import annotations

import ctypes.util
import json
import os
import shutil
import signal
import subprocess
import time
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

PROGRAMS = ("pulseaudio", "paplay", "pactl")
# Without norewinds, what is played comes up to 2 s late or not at all.
SINK = "module-null-sink sink_name={} rate=48000 channels=1 format=s16le norewinds=1"


def missing() -> str:
    """What is not installed of what this needs, as a reason to skip; empty if all is there."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if ctypes.util.find_library("portaudio") is None:
        absent.append("libportaudio2")
    if not any(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
        absent.append("libasound2-plugins")
    if not absent:
        return ""
    packages = "pulseaudio pulseaudio-utils libportaudio2 libasound2-plugins"
    return f"not installed: {', '.join(absent)} (apt-get install {packages})"


class PulseServer:
    """A server of its own in a folder of its own.

    Args:
        folder: must have a short path, for the socket's sake.
        sinks: what can be played to; ``NAME.monitor`` hears it. The first is the default.
    """

    def __init__(self, folder: Path, sinks: tuple[str, ...] = ("mic", "other")) -> None:
        self._sinks = sinks
        self._socket = folder / "native"
        self._own = {
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_RUNTIME_PATH": str(folder / "pulse"),
            "PULSE_STATE_PATH": str(folder / "state"),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._playing: list[subprocess.Popen[bytes]] = []

    @property
    def environment(self) -> Mapping[str, str]:
        """What a client needs to find it."""
        return {"PULSE_SERVER": f"unix:{self._socket}"}

    def start(self) -> None:
        modules = [
            f"module-native-protocol-unix auth-anonymous=1 socket={self._socket}",
            *(SINK.format(name) for name in self._sinks),
        ]
        for name in ("PULSE_RUNTIME_PATH", "PULSE_STATE_PATH"):
            Path(self._own[name]).mkdir(mode=0o700, exist_ok=True)
        arguments = ["-n", "--daemonize=no", "--exit-idle-time=-1", "--log-level=error"]
        for module in modules:
            arguments += ["-L", module]
        self._process = subprocess.Popen(
            ["pulseaudio", *arguments], env={**os.environ, **self._own}, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while self._ask("info") is None:
            assert time.monotonic() < deadline, "pulseaudio did not start within 10 s"
            time.sleep(0.05)

    def _ask(self, *arguments: str) -> str | None:
        answer = subprocess.run(
            ["pactl", *arguments],
            env={**os.environ, **self.environment, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        )
        return answer.stdout if answer.returncode == 0 else None

    def listed(self, kind: str) -> list[dict[str, Any]]:
        """``sources``, ``source-outputs`` and so on, as ``pactl`` describes them."""
        return list(json.loads(self._ask("--format=json", "list", kind) or "[]"))

    def move(self, recording: int, source: str) -> None:
        """Let a stream record from another source, as a server does when one vanishes."""
        assert self._ask("move-source-output", str(recording), source) is not None

    def play(self, sound: Path, sink: str = "mic", latency_ms: int = 20) -> None:
        """Begin to play a WAV."""
        command = ["paplay", f"--latency-msec={latency_ms}", "-d", sink, str(sound)]
        self._playing.append(subprocess.Popen(command, env={**os.environ, **self.environment}))

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        for each in self._playing:
            each.kill()
            each.wait()
        self._playing.clear()
        self._socket.unlink(missing_ok=True)
        for file in Path(self._own["PULSE_RUNTIME_PATH"]).glob("pid"):
            file.unlink()


def write_wav(path: Path, samples: npt.NDArray[np.int16], rate_hz: int = 48_000) -> Path:
    """Write int16 ``[n]``."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(samples.astype("<i2").tobytes())
    return path
