"""How a bundle is calibrated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from mmedge.errors import ConfigError

__all__ = ["CalibrateConfig", "Precision", "Target"]

Precision = Literal["auto", "int8", "fp16", "mixed"]
Target = Literal["tensorrt", "cpu"]


@dataclass(frozen=True, kw_only=True)
class CalibrateConfig:
    """How a bundle is calibrated.

    Attributes:
        bundle: the folder; it gets the plans, and keeps what it has.
        data: labelled samples: a list of clips, a folder, a recording, ``FILE.py:FUNCTION``,
            or a function, as `mmedge.proof.data.read_samples` takes them.
        max_drop: points (percent) of a task's metric that a plan may lose with everything
            present; twice as many in any subset of the modalities.
        targets: what plans are made for.
        precision: ``auto`` takes the lowest that passes; any other, that or nothing. ``fp16``
            is for TensorRT only and leaves other targets alone (`tried`).
        metric: what a drop is measured in, where a task allows a choice
            (`mmedge.proof.paired.METRICS`, or ``recall_at_K`` for a matching task); ``None``
            for the first of each.
        split_by: column whose values are never split between ranges, search and report.
        minutes: how long the search may take; the proof of what it found comes after.
        accept_unproven: ship a plan whose drop is within the limit but not proven to be,
            because the samples are too few; the bundle says so.
        replace: replace the plans of an earlier calibration.
        report: HTML file for the page, which a bundle with new plans holds as well; it is
            written even where no plan passes.
        seed: of the bootstrap.
    """

    bundle: Path
    data: str | Path | Callable[[], Any]
    max_drop: float = 0.5
    targets: tuple[Target, ...] = ("tensorrt", "cpu")
    precision: Precision = "auto"
    metric: str | None = None
    split_by: str | None = None
    minutes: float = 30.0
    accept_unproven: bool = False
    replace: bool = False
    report: Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.max_drop <= 100:
            raise ConfigError(f"max_drop={self.max_drop} must lie above 0 and up to 100 points")
        if not self.targets or not set(self.targets) <= set(get_args(Target)):
            raise ConfigError(
                f"targets={', '.join(self.targets) or 'none'}: choose among "
                f"{', '.join(get_args(Target))}"
            )
        if self.precision not in get_args(Precision):
            raise ConfigError(
                f"precision={self.precision!r} is none of {', '.join(get_args(Precision))}"
            )
        if self.precision in ("fp16", "mixed") and "tensorrt" not in self.targets:
            raise ConfigError(
                f"precision={self.precision!r} is for TensorRT: a CPU gains nothing from FP16; "
                "add the target tensorrt, or choose int8"
            )
        if not self.minutes > 0:
            raise ConfigError(f"minutes={self.minutes} must be above 0")

    @property
    def tried(self) -> tuple[Target, ...]:
        """Those of the targets that the precision is for."""
        return ("tensorrt",) if self.precision == "fp16" else self.targets

    @property
    def left_alone(self) -> tuple[str, ...]:
        """Say which of the targets the precision is not for."""
        return tuple(
            f"precision {self.precision} is not for the target {target}, which is left as it is"
            for target in self.targets
            if target not in self.tried
        )
