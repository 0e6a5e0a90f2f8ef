"""Contestants whose times are given: they stand for processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from mmedge._closing import Closing
from mmedge.errors import MmedgeError


class GivenTimes(Closing):
    """Answers as a contestant's process would; it is `TIMES_MS` fast."""

    TIMES_MS: ClassVar[dict[str, float]] = {}
    REFUSES: ClassVar[dict[str, MmedgeError]] = {}
    FAILS: ClassVar[dict[str, MmedgeError]] = {}
    FORGETS: ClassVar[dict[str, MmedgeError]] = {}
    UNPROVEN: ClassVar[set[str]] = set()
    order: ClassVar[list[str]] = []
    closed: ClassVar[list[str]] = []

    def __init__(self, backend: str, plan: str) -> None:
        self.backend, self.plan = backend, plan

    def __str__(self) -> str:
        return f"{self.backend} {self.plan}"

    def open(self, bundle: Path, threads: int | None) -> dict[str, Any]:
        if str(self) in self.REFUSES:
            raise self.REFUSES[str(self)]
        return {"kind": "cpu", "threads": {"fusion": threads}}

    def ask(self, do: str, *, watch: Callable[[], None] = lambda: None, **_: Any) -> Any:
        watch()
        if do == "turn":
            self.order.append(str(self))
            if str(self) in self.FAILS:
                raise self.FAILS[str(self)]
            took_ns = round(self.TIMES_MS[str(self)] * 1e6)
            return {"fusion": [took_ns // 2] * 3, "whole": [took_ns] * 3}
        if do == "memory":
            if str(self) in self.FORGETS:
                raise self.FORGETS[str(self)]
            return {"peak_bytes": 2**20}
        worst = "end to end/side is 2.6 times as far off as the plan allows"
        return {"passed": str(self) not in self.UNPROVEN, "worst": worst}

    def close(self) -> None:
        self.closed.append(str(self))
