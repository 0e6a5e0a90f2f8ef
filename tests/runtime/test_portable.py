"""Everything but what says so is imported on a system without POSIX's modules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
POSIX = ("fcntl", "grp", "pwd", "resource", "syslog", "termios", "tty")

IMPORT = f"""
import importlib, pkgutil, sys
import filelock  # has its own way on every system, and one for each
for name in {POSIX!r}:
    sys.modules[name] = None  # an import of it now fails
sys.path.insert(0, "tests/runtime/sources/fake_portaudio")
import mmedge
import mmedge.runtime
found = [each.name for each in pkgutil.walk_packages(mmedge.runtime.__path__, "mmedge.runtime.")]
for name in found:
    importlib.import_module(name)
print(len(found))
"""


def test_no_module_of_the_runtime_needs_posix_to_be_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 80
