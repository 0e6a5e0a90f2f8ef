"""The parent's side of one backend and plan: starts its process, asks, kills it."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmedge import errors
from mmedge._closing import Closing
from mmedge.errors import IncompatibleError, MmedgeError, ResourceError

__all__ = ["Contestant"]

# Not by the folder that it was started in; packages are those that the parent sees.
BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from mmedge.proof.bench.child import main; main()"
)
PATIENCE_S = 600.0
SAMPLE_S = 0.05


class Contestant(Closing):
    """One backend and one plan, in a process of their own.

    Args:
        backend: its name.
        plan: one of the bundle's.
    """

    def __init__(self, backend: str, plan: str) -> None:
        self.backend, self.plan = backend, plan
        self._pending = b""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - `close` does
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", BOOTSTRAP, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._output, selectors.EVENT_READ)

    def __str__(self) -> str:
        return f"{self.backend} {self.plan}"

    def open(self, bundle: Path, threads: int | None) -> dict[str, Any]:
        """Open the graphs; for what it raises see `ask`."""
        path = str(bundle.absolute())
        how: dict[str, Any] = {"backend": self.backend, "plan": self.plan, "threads": threads}
        opened: dict[str, Any] = self.ask("open", bundle=path, **how)
        return opened

    def ask(self, do: str, *, watch: Callable[[], None] = lambda: None, **request: Any) -> Any:
        """Ask for something, and wait for the answer.

        Args:
            do: see `mmedge.proof.bench.child`.
            watch: called every 50 ms meanwhile.
            request: more of it.

        Raises:
            MmedgeError: what the other process raised.
            IncompatibleError: it crashed, or hangs.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended; the answer tells how
            self._process.stdin.write(json.dumps({"do": do, **request}).encode() + b"\n")
        answer = json.loads(self._receive(watch))
        if isinstance(answer, dict) and "error" in answer:
            raise _error(*answer["error"])
        return answer

    def _receive(self, watch: Callable[[], None]) -> bytes:
        until_s = time.monotonic() + PATIENCE_S
        while b"\n" not in self._pending:
            if not self._selector.select(SAMPLE_S):
                watch()
                if time.monotonic() > until_s:
                    raise IncompatibleError(f"{self} has not answered for {PATIENCE_S:g} s")
                continue
            part = os.read(self._output, 2**16)
            if not part:
                raise IncompatibleError(f"{self}: its process has ended: {self._how()}")
            self._pending += part
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _how(self) -> str:
        """Tell the signal or the exit code, and the last that it said."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        code = self._process.returncode or 0
        self._errors.seek(0)
        said = self._errors.read()[-4096:].decode(errors="replace").strip().splitlines()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"{how}; {said[-1]}" if said else how

    def close(self) -> None:
        """Kill it."""
        self._process.kill()
        self._selector.close()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in a driver: the kernel's
            self._process.wait(2)


def _error(kind: str, message: str) -> MmedgeError:
    if kind == "MemoryError":
        return ResourceError(f"the memory does not suffice: {message}")
    found: type[MmedgeError] = getattr(errors, kind, IncompatibleError)
    return found(message)
