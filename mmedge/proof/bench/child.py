"""One backend and one plan in a process of their own, so that its memory is theirs alone.

It reads requests and writes answers, a line of JSON each, and ends when its standard input
does: with its parent, however that ended.

    {"do": "open", ...}    -> {"kind": "cpu", "threads": {...}}
    {"do": "turn", "ms"}   -> {"stage": [nanoseconds, ...], ...}
    {"do": "memory"}       -> {"peak_bytes": 1} or null, where the system does not tell
    {"do": "verify"}       -> {"passed": true, "worst": "..."}

What fails is answered by ``{"error": [its class, its words]}``.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from mmedge.bundle import Bundle, open_bundle
from mmedge.errors import MmedgeError
from mmedge.proof.bench.stages import Stages
from mmedge.proof.trust import load_golden
from mmedge.proof.verify import verify_opened
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.warming import warm_up

__all__ = ["Contest", "main", "peak_bytes"]

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Contest:
    """What the process does, request by request.

    Args:
        bundle: its folder.
        backend: what runs the graphs.
        plan: which of the bundle's plans.
        threads: as for `mmedge.proof.bench.BenchConfig`.
    """

    def __init__(self, *, bundle: str, backend: str, plan: str, threads: int | None) -> None:
        self._bundle: Bundle = open_bundle(bundle)
        raw = load_golden(self._bundle).raw
        count = self._bundle.manifest.golden.samples
        samples = [{name: raws[i] for name, raws in raw.items()} for i in range(count)]
        _forget_peak()  # the proof's other numbers are not what it takes to predict
        # As `serve` opens them.
        self._predictor = Predictor(
            self._bundle, backend=backend, plan=plan, threads=threads or 1, spin=False
        )
        warm_up(self._predictor, widen=threads is None)
        self._stages = Stages(self._predictor, samples)

    def opened(self) -> dict[str, Any]:
        """Tell what was opened."""
        return {"kind": self._predictor.kind, "threads": self._predictor.threads}

    def turn(self, ms: float) -> dict[str, list[int]]:
        """Predict for a while."""
        return self._stages.turn(ms)

    def memory(self) -> dict[str, int] | None:
        """Tell the most memory that the process has had since its graphs were opened."""
        peak = peak_bytes()
        return None if peak is None else {"peak_bytes": peak}

    def verify(self) -> dict[str, Any]:
        """Hold the very graphs that had their turns against the golden samples."""
        parity = verify_opened(self._predictor, load_golden(self._bundle))
        worst = parity.worst
        told = f"{worst.point} is {worst.ratio:.3g} times as far off as the plan allows"
        return {"passed": parity.passed, "worst": told}


def peak_bytes() -> int | None:
    """Give the peak of this process's memory, where Linux tells it."""
    if not STATUS.exists():
        return None
    found = re.search(r"VmHWM:\s*(\d+) kB", STATUS.read_text(encoding="utf-8"))
    return int(found[1]) * 1024 if found else None


def main() -> None:
    """Answer requests until there are none."""
    # What libraries print on standard output goes to standard error.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    contest: Contest | None = None
    for line in sys.stdin:
        request = json.loads(line)
        do = request.pop("do")
        try:
            if do == "open":
                contest = Contest(**request)
                answer = contest.opened()
            else:
                answer = getattr(contest, do)(**request)
        except (MmedgeError, MemoryError) as exc:
            answer = {"error": [type(exc).__name__, str(exc)]}
        out.write(json.dumps(answer) + "\n")
        out.flush()


def _forget_peak() -> None:
    """Let the kernel count the peak anew (proc(5), clear_refs), where it lets us."""
    try:
        CLEAR.write_text("5", encoding="utf-8")
    except OSError:
        return
