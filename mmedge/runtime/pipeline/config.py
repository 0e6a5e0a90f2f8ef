"""How a live pipeline behaves: every number in one frozen place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mmedge.errors import ConfigError
from mmedge.specs import Modality, Signal, Sound

__all__ = ["EventConfig", "LiveConfig"]

_LEAST_AGE_MS = 800
_TOO_MUCH = 10**9


@dataclass(frozen=True, kw_only=True)
class EventConfig:
    """From scores to events.

    Attributes:
        smooth_ms: time constant of the exponential smoothing of the scores; 0 for none.
        begin: smoothed score from which a label may begin.
        end: smoothed score below which it may end; not above ``begin``.
        debounce_ms: for so long the score has to lie beyond the threshold.
        hold_ms: an event lasts at least so long.
        abstain: where no smoothed score reaches this, no label is named; ``None`` takes the
            task's own threshold.
    """

    smooth_ms: int = 300
    begin: float = 0.7
    end: float = 0.4
    debounce_ms: int = 200
    hold_ms: int = 300
    abstain: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.end <= self.begin <= 1:
            raise ConfigError(
                f"begin={self.begin}, end={self.end}: 0 < end <= begin <= 1 is needed, or an "
                "event would end as it begins"
            )
        for name in ("smooth_ms", "debounce_ms", "hold_ms"):
            if not 0 <= getattr(self, name) < _TOO_MUCH:
                raise ConfigError(f"{name}={getattr(self, name)} must lie in 0..{_TOO_MUCH}")
        if self.abstain is not None and not 0 <= self.abstain <= 1:
            raise ConfigError(f"abstain={self.abstain} must be a probability")


@dataclass(frozen=True, kw_only=True)
class LiveConfig:
    """How a live pipeline behaves.

    Attributes:
        fuse: when to predict: ``each`` on every new embedding (several at once count as
            one), ``all`` when every present modality has a new one, or the name of the
            modality that drives.
        tolerance_ms: how far apart the capture times of what moves may lie; a prediction
            beyond it is marked.
        max_age_ms: modality -> an embedding older than this is absent; by default 800, or
            three hops where those are longer. A text holds until it is replaced.
        max_rate_hz: modality -> its encoder runs at most so often.
        heartbeat_ms: a prediction is made at least so often, fresh or not.
        explain: compute contributions and conflict.
        events: from scores to events.
        hang_ms: an encoder that takes longer is abandoned and begun anew.
        queue: predictions that a sink may lie behind before it loses the oldest.
        threads: CPU threads inside one operator; ``None`` gives every graph one, or as many as
            the backend likes where a run would take more than 5 ms.
    """

    fuse: str = "each"
    tolerance_ms: int = 500
    max_age_ms: Mapping[str, float] = field(default_factory=dict)
    max_rate_hz: Mapping[str, float] = field(default_factory=dict)
    heartbeat_ms: int = 500
    explain: bool = True
    events: EventConfig = field(default_factory=EventConfig)
    hang_ms: int = 10_000
    queue: int = 64
    threads: int | None = None

    def __post_init__(self) -> None:
        numbers: dict[str, float] = {
            "tolerance_ms": self.tolerance_ms,
            "heartbeat_ms": self.heartbeat_ms,
            "hang_ms": self.hang_ms,
            "queue": self.queue,
            **{f"max_age_ms[{name!r}]": age for name, age in self.max_age_ms.items()},
            **{f"max_rate_hz[{name!r}]": rate for name, rate in self.max_rate_hz.items()},
        }
        for name, value in numbers.items():
            if not 0 < value < _TOO_MUCH:
                raise ConfigError(f"{name}={value} must be positive, and below {_TOO_MUCH}")

        if self.threads is not None and not 1 <= self.threads <= 1024:
            raise ConfigError(f"threads={self.threads} must lie in 1..1024, or be left out")

    def check(self, modalities: Mapping[str, Modality]) -> None:
        """Hold what names modalities against a model's.

        Raises:
            ConfigError: one is named that the model does not have.
        """
        named = {*self.max_age_ms, *self.max_rate_hz}
        if self.fuse not in ("each", "all"):
            named.add(self.fuse)
        strange = sorted(named - set(modalities))
        if strange:
            raise ConfigError(
                f"the model has no modality {strange[0]!r}; it has {', '.join(modalities)}"
                + (" (or 'each', 'all')" if strange[0] == self.fuse else "")
            )

    def age_limit_ms(self, name: str, modality: Modality) -> float:
        """Give the age from which an embedding is stale."""
        if name in self.max_age_ms:
            return self.max_age_ms[name]
        if modality.kind == "text":
            return float("inf")
        hop_ms = modality.hop_ms if isinstance(modality, (Sound, Signal)) else 0
        return max(_LEAST_AGE_MS, 3 * hop_ms)
