"""The state of a running pipeline, for people and for monitoring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["ModalityStatus", "SinkStatus", "SourceState", "SourceStatus", "Status", "absences"]

SourceState = Literal["opening", "live", "stalled", "waiting", "ended"]
"""``waiting``: gone, and to be opened again after a while; ``ended``: came to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """One device or stream.

    Attributes:
        name: for people.
        feeds: the modalities that it feeds.
        state: see `SourceState`.
        reason: why it is not live; empty if it is.
        granted: what the device granted when it was opened.
        opened: how often it has been opened.
        samples: how many pictures, blocks, lines or readings came.
        rate_hz: pictures, lines or readings per second lately; for sound its sample rate.
        drift_ppm: of a sound's clock against the host's; NaN if not known.
    """

    name: str
    feeds: tuple[str, ...]
    state: SourceState
    reason: str = ""
    granted: str = ""
    opened: int = 0
    samples: int = 0
    rate_hz: float = 0.0
    drift_ppm: float = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityStatus:
    """One modality.

    Attributes:
        name: which.
        present: whether it would count now.
        reason: why not; empty if it does.
        age_ms: of the newest that was encoded; NaN if nothing was.
        encodings: how often its encoder has run.
        rate_hz: encodings per second lately.
        skipped: pictures or windows that were never encoded, because newer ones came.
        encode_ms: how long the encoder takes, smoothed; NaN before the first.
        complaints: how its input is spoiled.
        degraded: what its encoder or backend suffers from; empty if it is sound.
    """

    name: str
    present: bool
    reason: str = ""
    age_ms: float = float("nan")
    encodings: int = 0
    rate_hz: float = 0.0
    skipped: int = 0
    encode_ms: float = float("nan")
    complaints: tuple[str, ...] = ()
    degraded: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkStatus:
    """One sink or recording: what it took, what it lost, and why it takes no more, if so."""

    name: str
    taken: int = 0
    dropped: int = 0
    degraded: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The whole pipeline at one moment.

    Attributes:
        time_ns: pipeline time.
        bundle: the bundle's digest.
        model: the bundle's name.
        plan: which of the bundle's plans runs.
        ready: warmed up, and at least one prediction could be made.
        degraded: what is wrong beyond single modalities; empty if nothing is.
        ticks: predictions so far.
        rate_hz: predictions per second lately.
        uptime_s: since the pipeline began.
        sources: every device and stream.
        modalities: by name, in the order of presence.
        sinks: every sink.
        board: what the board says of itself: throttling, power mode, temperatures.
    """

    time_ns: int
    bundle: str
    model: str
    ready: bool
    plan: str = "fp32"
    degraded: str = ""
    ticks: int = 0
    rate_hz: float = 0.0
    uptime_s: float = 0.0
    sources: tuple[SourceStatus, ...] = ()
    modalities: Mapping[str, ModalityStatus] = field(default_factory=dict)
    sinks: tuple[SinkStatus, ...] = ()
    board: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give plain types; what is not known becomes ``None``."""
        return {key: _plain(value) for key, value in asdict(self).items()}


def absences(unfed: Iterable[str], sources: Iterable[SourceStatus]) -> dict[str, str]:
    """Say of every modality without a live source why it has none."""
    reasons = dict.fromkeys(unfed, "no source was given")
    for each in sources:
        if each.state != "live":
            reason = f"{each.name} is {each.state}" + (f": {each.reason}" if each.reason else "")
            reasons |= dict.fromkeys(each.feeds, reason)
    return reasons


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return None if value != value else value  # noqa: PLR0124 - NaN
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    return value
