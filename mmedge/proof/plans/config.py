"""What is to be evaluated."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmedge.errors import ConfigError
from mmedge.runtime.plans import AUTO

__all__ = ["EvalConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalConfig:
    """Which plans, on what, against which limit.

    Attributes:
        bundle: its folder.
        data: what `mmedge.proof.data.read_samples` takes.
        plans: names, beside ``fp32``, which is always the reference; empty for all that run
            here.
        backend: what runs the graphs.
        by: a column of the data: every value of it is judged on its own.
        max_drop: points of each task's metric that a plan may lose; ``None`` without a limit.
        metric: what a drop is measured in, where a task allows a choice
            (`mmedge.proof.paired.METRICS`, or ``recall_at_K`` for a matching task); ``None``
            for the first of each.
    """

    bundle: Path
    data: str | os.PathLike[str] | Callable[[], Iterable[Any]]
    plans: tuple[str, ...] = ()
    backend: str = "cpu"
    by: str | None = None
    max_drop: float | None = None
    metric: str | None = None

    def __post_init__(self) -> None:
        if self.backend == AUTO:
            raise ConfigError("plans are compared on one backend; name it in the place of 'auto'")
        if self.max_drop is not None and not 0 < self.max_drop < math.inf:
            raise ConfigError(
                f"max_drop={self.max_drop} must be a positive number of points: 0.5 allows an "
                "accuracy of 90 % to fall to 89.5 %"
            )
