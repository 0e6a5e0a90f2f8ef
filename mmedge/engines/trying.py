"""Engines where this machine can build them: what a calibration ends with."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmedge.bundle import Bundle
from mmedge.engines.building import BuildReport, Say, build_engines
from mmedge.engines.config import BuildConfig
from mmedge.engines.driver import probe
from mmedge.engines.toolkit import is_installed
from mmedge.errors import IncompatibleError, MmedgeError

__all__ = ["TRIED_FOR", "Tried", "try_engines"]

TRIED_FOR = "sm86"
"""The GPU that is compiled for where there is none: Ampere, as Orin is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of it.

    Attributes:
        report: the engines; ``None`` if there are none.
        why: in a sentence, why not, or what their being compiled elsewhere means.
        failure: what went wrong though this machine should be able to.
    """

    report: BuildReport | None = None
    why: str = ""
    failure: MmedgeError | None = None

    def to_json(self) -> dict[str, Any]:
        """Give plain types."""
        return {
            "report": None if self.report is None else self.report.to_json(),
            "why": str(self.failure) if self.failure else self.why,
        }


def try_engines(bundle: Bundle, plan: str, say: Say = lambda _: None) -> Tried:
    """Build and audit a plan's engines, as far as this machine can.

    With a GPU they are built for it, and kept. Without one, TensorRT-RTX compiles them for
    another, and they are audited and thrown away: seconds for most models.
    """
    try:
        probe()
    except IncompatibleError as exc:
        why = str(exc)
    else:
        if is_installed("tensorrt") or is_installed("tensorrt_rtx"):
            return _tried(bundle, BuildConfig(plan=plan), "", say)
        why = "TensorRT is not installed here."
    if not is_installed("tensorrt_rtx"):
        return Tried(why=f"{why} On the device, 'mmedge build' makes the engines and audits them.")
    with tempfile.TemporaryDirectory(prefix="mmedge-engines-") as scratch:
        config = BuildConfig(plan=plan, ahead_of_time=TRIED_FOR, out=Path(scratch))
        meaning = (
            f"audited as TensorRT-RTX compiles them for {TRIED_FOR}, and not kept; on the device, "
            "'mmedge build' makes those that run"
        )
        return _tried(bundle, config, meaning, say)


def _tried(bundle: Bundle, config: BuildConfig, why: str, say: Say) -> Tried:
    try:
        return Tried(report=build_engines(bundle, config, say=say), why=why)
    except MmedgeError as exc:
        return Tried(failure=exc)
