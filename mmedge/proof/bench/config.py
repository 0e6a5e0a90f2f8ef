"""What is to be measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmedge.errors import ConfigError
from mmedge.runtime.backends import BACKENDS

__all__ = ["BenchConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchConfig:
    """Which backends and plans, and for how long.

    Attributes:
        bundle: its folder.
        backends: names, beside ``cpu``, the reference; empty for all that run here.
        plans: names, beside ``fp32``; empty for all that run here.
        threads: CPU threads inside one operator; ``None`` as `serve` has them: one, and more
            for a graph that is slow.
        rounds: turns that each of them has, after one that warms it up.
        turn_ms: how long each turn is; three predictions at least.
        most_s: after so long no further round begins...
        least_rounds: ...if there were so many.
        keep: keep what was found for ``--backend auto``, if all was measured.
        first: measure what is installed alone, and keep it as a first run's.
    """

    bundle: Path
    backends: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()
    threads: int | None = None
    rounds: int = 20
    turn_ms: int = 150
    most_s: float = 90.0
    least_rounds: int = 7
    keep: bool = True
    first: bool = False

    def __post_init__(self) -> None:
        for name in self.backends:
            if name not in BACKENDS:
                known = ", ".join(BACKENDS)
                raise ConfigError(f"there is no backend {name!r}; choose among {known}")
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"threads={self.threads} must be 1 or more; leave it out for serve's")
        if not 2 <= self.rounds <= 1000:
            raise ConfigError(f"rounds={self.rounds} must lie in 2..1000: two halves are compared")
        if self.turn_ms < 1:
            raise ConfigError(f"turn_ms={self.turn_ms} must be 1 or more")

    @property
    def complete(self) -> bool:
        """Whether all that runs here is measured."""
        return not self.backends and not self.plans
