"""The parent's side of a microphone's process: starts it, reads its messages, kills it."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from mmedge._closing import Closing
from mmedge.errors import MissingDependencyError, MmedgeError, SourceError
from mmedge.runtime.sources import microphone_child
from mmedge.runtime.sources.microphone_child import HEADER

__all__ = ["MicrophoneProcess"]

# Isolated from the folder and the environment; packages are those that the parent sees. The
# standard library comes first: while OpenCV is being imported in another thread, its own
# folder stands on the parent's path, and in it a package called typing.
BOOTSTRAP = (
    "import json, runpy, sys; sys.path += json.loads(sys.argv.pop(1)); "
    "runpy.run_path(sys.argv.pop(1), run_name='__main__')"
)


class MicrophoneProcess(Closing):
    """One process of PortAudio's, for one stream or one list of devices.

    Args:
        what: for messages: ``microphone 'default'``.
        request: see `mmedge.runtime.sources.microphone_child`.
        environment: variables beside those of this process.
    """

    def __init__(
        self, what: str, request: Mapping[str, Any], environment: Mapping[str, str] | None = None
    ) -> None:
        self._what = what
        self._pending = bytearray()
        arguments = [json.dumps(sys.path), microphone_child.__file__, json.dumps(dict(request))]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", BOOTSTRAP, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # ALSA and PortAudio write their doubts there
            env={**os.environ, **(environment or {})},
            bufsize=0,
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._output, selectors.EVENT_READ)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def receive(self, timeout_s: float) -> tuple[bytes, bytes] | None:
        """Wait for a message.

        Returns:
            Its kind and its payload; ``None`` if none came in time.

        Raises:
            SourceError: the device is not there, or gone; the process has ended.
            MissingDependencyError: sounddevice or PortAudio is not installed.
        """
        deadline = time.monotonic() + timeout_s
        while (message := self._next_message()) is None:
            if not self._selector.select(max(deadline - time.monotonic(), 0)):
                return None
            part = os.read(self._output, 2**16)
            if not part:
                raise SourceError(f"{self._what}: its process has ended unexpectedly{self._how()}")
            self._pending += part
        kind, payload = message
        if kind == b"E":
            raise _error(self._what, **json.loads(payload))
        return kind, payload

    def _how(self) -> str:
        """Tell the exit code, or the signal as a negative number; the pipe closes just before."""
        try:
            return f" (exit code {self._process.wait(0.2)})"
        except subprocess.TimeoutExpired:
            return ""

    def _next_message(self) -> tuple[bytes, bytes] | None:
        if len(self._pending) < HEADER.size:
            return None
        kind, length = HEADER.unpack_from(self._pending)
        end = HEADER.size + length
        if len(self._pending) < end:
            return None
        payload = bytes(self._pending[HEADER.size : end])
        del self._pending[:end]
        return kind, payload

    def close(self) -> None:
        """Kill it; waits for its end, but never for long."""
        self._process.kill()
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in a driver: the kernel's
            self._process.wait(0.5)


def _error(what: str, kind: str, message: str) -> MmedgeError:
    if kind == "package":
        return MissingDependencyError(
            f"{what} needs the package '{message}', which is not installed. "
            "Install it with: pip install 'mmedge[live]'"
        )
    if kind == "library":
        return MissingDependencyError(
            f"{what} needs the library PortAudio ({message}). On Debian, Ubuntu and JetPack: "
            "sudo apt-get install libportaudio2"
        )
    return SourceError(f"{what}: {message}")
