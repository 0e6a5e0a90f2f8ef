"""Whether packages can be imported: each tried in a process of its own, all at once."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from typing import Any

from mmedge.doctor.looking import import_child
from mmedge.doctor.place import Place

__all__ = ["TIMEOUT_S", "Imported", "try_imports"]

TIMEOUT_S = 20.0
_KILLED_S = 1.0
# Some packages write into the user's folders when they are imported; here they find none.
_HOMES = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
_LONGEST = 400  # characters of somebody else's error

# Packages are those that this process sees; see mmedge.runtime.sources.microphone_process.
_BOOTSTRAP = (
    "import json, runpy, sys; sys.path += json.loads(sys.argv.pop(1)); "
    "runpy.run_path(sys.argv.pop(1), run_name='__main__')"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """How an import went.

    Attributes:
        missing: there is no such package.
        version: what it calls itself.
        file: where it was found.
        error: why it failed, in the words of whoever failed; empty if it did not.
        more: what else was asked.
    """

    missing: bool = False
    version: str = ""
    file: str = ""
    error: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def works(self) -> bool:
        """It is there, and can be used."""
        return not self.missing and not self.error


def try_imports(
    place: Place, names: Iterable[str], *, timeout_s: float = TIMEOUT_S
) -> dict[str, Imported]:
    """Import each package in its own process; none takes another, or this one, along.

    Args:
        place: whose packages, Python and environment.
        names: what to import.
        timeout_s: for all together.
    """
    deadline = time.monotonic() + timeout_s
    started = [(name, _start(place, name) if _exists(place, name) else None) for name in names]
    return {
        name: Imported(missing=True) if process is None else _awaited(process, deadline)
        for name, process in started
    }


def _exists(place: Place, name: str) -> bool:
    """Look for a package without importing it; a module of ours is always there."""
    return "." in name or PathFinder.find_spec(name, place.path) is not None


def _start(place: Place, name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(place.python, "-I", "-S", "-W", "ignore", "-c", _BOOTSTRAP),
            *(json.dumps(place.path), import_child.__file__, name),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**place.environment, **dict.fromkeys(_HOMES, os.devnull)},
    )


def _awaited(process: subprocess.Popen[bytes], deadline: float) -> Imported:
    try:
        output, _ = process.communicate(timeout=max(deadline - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired:
        process.kill()
        _give_up(process)
        return Imported(error="it hangs when it is imported")
    try:
        answer = json.loads(output)
    except ValueError:
        return Imported(error=f"it ends the process that imports it ({_how(process.returncode)})")
    return Imported(
        missing=answer.pop("missing", False),
        version=answer.pop("version", ""),
        file=answer.pop("file", ""),
        error=" ".join(answer.pop("error", "").split())[:_LONGEST],
        more=answer,
    )


def _give_up(process: subprocess.Popen[bytes]) -> None:
    """Wait a little for one that was killed: a driver may hold it, or a child of its the pipe."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_KILLED_S)
    if process.stdout is not None:
        process.stdout.close()


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
