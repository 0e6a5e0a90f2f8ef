"""What PulseAudio (or PipeWire in its place) knows and PortAudio does not tell.

PortAudio sees the sound server as one device. Which microphone stands behind it, the server's
own ``pactl`` tells; where that is not installed, nobody does.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

__all__ = ["PREFIX", "pulse_sources", "source_of"]

PREFIX = "pulse:"
"""``pulse:NAME`` is the server's source of that name."""

TIMEOUT_S = 0.5


def pulse_sources() -> list[dict[str, Any]]:
    """List the server's sources, as ``pactl`` describes them; none if nobody answers."""
    return _ask("sources")


def source_of(pid: int) -> str:
    """Name the source that a process records from; empty if nobody knows."""
    mine = [
        each["source"]
        for each in _ask("source-outputs")
        if each.get("properties", {}).get("application.process.id") == str(pid)
    ]
    names = {each["index"]: str(each["name"]) for each in (_ask("sources") if mine else [])}
    return next((names[index] for index in mine if index in names), "")


def _ask(kind: str) -> list[dict[str, Any]]:
    program = shutil.which("pactl")
    if program is None:
        return []
    try:
        answer = subprocess.run(
            [program, "--format=json", "list", kind],
            capture_output=True,
            check=True,
            timeout=TIMEOUT_S,
            env={**os.environ, "LC_ALL": "C"},  # some locales break its numbers
        )
        listed = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):  # no server, or a pactl before 15
        return []
    return listed if isinstance(listed, list) else []
