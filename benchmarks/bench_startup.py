"""CPU seconds of ``python -m mmedge --help``: at most 0.3, Python's own included.

User and system time of the child process, the least of several runs: the clock on the
wall says more about the neighbours than about us.
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNS = 7
LIMIT_S = 0.3


def cpu_s(arguments: list[str]) -> float:
    """User and system seconds of one child process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def least_cpu_s(arguments: list[str]) -> float:
    """The least of several runs, after one that writes the byte code."""
    cpu_s(arguments)
    return min(cpu_s(arguments) for _ in range(RUNS))


def main() -> int:
    """Measure, print, compare with the limit."""
    bare_s = least_cpu_s(["-c", "pass"])
    help_s = least_cpu_s(["-m", "mmedge", "--help"])
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"mmedge --help: {help_s:.3f} CPU s, of which {bare_s:.3f} are Python's own ({machine})")
    if help_s > LIMIT_S:
        print(f"too slow: the limit is {LIMIT_S} CPU s", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
