"""The first run of ``--backend auto``: another process measures what is installed here, once.

It is ``mmedge bench --first-run``. Nothing of what measures and proves stays in the process that
predicts for months, and a driver that crashes does not take it along.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

from pydantic import ValidationError

from mmedge.errors import IncompatibleError
from mmedge.runtime.measured import FirstRun, Record

__all__ = ["first_run"]

_log = logging.getLogger(__name__)

PATIENCE_S = 120.0
"""A start waits no longer, though a driver hangs or another measures for ever."""

# Not by the folder that it is started in; packages are those that this process sees.
_BOOTSTRAP = (
    "import json, runpy, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "runpy.run_module('mmedge', run_name='__main__', alter_sys=True)"
)


def first_run(bundle: Path, digest: str) -> Record:
    """Have a bundle measured, which takes some seconds; what is left out is logged with its reason.

    Args:
        bundle: its folder.
        digest: the bundle's.

    Raises:
        IncompatibleError: it cannot be measured, and why.
    """
    if getattr(sys, "frozen", False) or not sys.executable:
        raise IncompatibleError("this program is no Python that could be started once more")
    command = [sys.executable, "-I", "-c", _BOOTSTRAP, json.dumps(sys.path)]
    with subprocess.Popen(
        [*command, "bench", str(bundle.absolute()), "--first-run"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            out, errors = process.communicate(timeout=PATIENCE_S)
        except BaseException as exc:  # what interrupts this process ends the other one, too
            process.terminate()
            if isinstance(exc, subprocess.TimeoutExpired):
                raise IncompatibleError(
                    f"it took more than {PATIENCE_S:g} s; 'mmedge bench' has more patience"
                ) from exc
            raise
    try:
        found = FirstRun.model_validate_json(out)
    except ValidationError as exc:
        told = errors.strip().splitlines() or [f"its process ended with {process.returncode}"]
        raise IncompatibleError(told[-1].removeprefix("mmedge: ")) from exc
    for line in found.said:
        _log.warning("%s", line)
    if found.record.digest != digest:
        raise IncompatibleError("the bundle has changed meanwhile")
    return found.record
