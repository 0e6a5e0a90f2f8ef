"""From thirty flickering labels a second to "began" and "ended".

Scores are smoothed exponentially in time; a label begins when its smoothed score has lain
above one threshold for a while, and ends when it has lain below a lower one (hysteresis:
O. H. Schmitt, "A thermionic trigger", 1938), but not before it has been held. The while begins
where the smoothed curve crosses the threshold, between two predictions, so that it hardly
matters when exactly predictions are made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mmedge.runtime.pipeline.config import EventConfig
from mmedge.runtime.pipeline.tick import Event
from mmedge.runtime.prediction import Prediction
from mmedge.runtime.windows.cut import NS_PER_MS
from mmedge.specs import Classification, Matching, Regression, Task

__all__ = ["EventTracker", "Smoothed"]


@dataclass(frozen=True, slots=True)
class Smoothed:
    """What the tracker makes of one prediction.

    Attributes:
        scores: task -> label -> smoothed score; quantities of a regression are smoothed too.
        active: task -> labels that have begun and not ended.
        labels: task -> the best label by smoothed score, ``None`` where the model abstains.
        events: what has begun or ended now.
    """

    scores: dict[str, dict[str, float]]
    active: dict[str, tuple[str, ...]]
    labels: dict[str, str | None]
    events: tuple[Event, ...]


@dataclass(slots=True)
class _Label:
    """One label's state: since when its score lies beyond the threshold that it waits for."""

    active: bool = False
    began_ns: int = 0
    beyond_ns: int | None = None


@dataclass(slots=True)
class _Scores:
    """One task's smoothed scores, and those of the prediction before."""

    time_ns: int
    values: dict[str, float]
    before_ns: int = 0
    before: Mapping[str, float] = field(default_factory=dict)
    labels: dict[str, _Label] = field(default_factory=dict)


class EventTracker:
    """Follows the predictions of one stream; the time is an argument.

    Args:
        tasks: the bundle's.
        config: thresholds and times.
    """

    def __init__(self, tasks: Mapping[str, Task], config: EventConfig) -> None:
        self._tasks = tasks
        self._config = config
        self._known: dict[str, _Scores] = {}
        self._left: list[tuple[str, str]] = []  # task and label, active when another took over

    def follow(self, other: EventTracker) -> None:
        """Go on where another ended; what its tasks have begun and these do not know ends."""
        for task, known in other._known.items():
            if self._tasks.get(task) == other._tasks.get(task):
                self._known[task] = known
            else:
                active = (name for name, label in known.labels.items() if label.active)
                self._left += [(task, name) for name in active]

    def update(self, prediction: Prediction, time_ns: int) -> Smoothed:
        """Take the next prediction.

        A task without an answer (nothing was present) has score 0 for all its labels: what
        is not seen any more ends.
        """
        events = [_event(task, name, "ended", time_ns, 0.0) for task, name in self._left]
        self._left = []
        for task, answer in prediction.tasks.items():
            if answer.scores:  # raw tensors have none
                self._smooth(task, answer.scores, time_ns)
        for task in set(self._known) - set(prediction.tasks):
            if not isinstance(self._tasks.get(task), Regression):
                self._smooth(task, dict.fromkeys(self._known[task].values, 0.0), time_ns)
        for task, known in self._known.items():
            if not isinstance(self._tasks.get(task), Regression):
                events += self._judge(task, known, time_ns)
        return Smoothed(
            scores={task: dict(known.values) for task, known in self._known.items()},
            active={
                task: tuple(name for name, label in known.labels.items() if label.active)
                for task, known in self._known.items()
            },
            labels={task: self._name(task, known.values) for task, known in self._known.items()},
            events=tuple(events),
        )

    def _name(self, task: str, scores: Mapping[str, float]) -> str | None:
        """Name the best label, or none below the threshold: better silent than wrong."""
        spec = self._tasks.get(task)
        if not scores or not isinstance(spec, (Classification, Matching)):
            return None
        best = max(scores, key=scores.__getitem__)
        limit = self._config.abstain
        if limit is None:
            limit = spec.threshold if isinstance(spec, Classification) else 0.0
        return best if scores[best] >= limit else None

    def _smooth(self, task: str, scores: Mapping[str, float], time_ns: int) -> None:
        known = self._known.get(task)
        if known is None:
            # Probabilities rise from nothing: the first counts for no longer than it has held.
            begin = scores if isinstance(self._tasks.get(task), Regression) else {}
            self._known[task] = known = _Scores(time_ns, dict(begin))
        passed_ms = (time_ns - known.time_ns) / NS_PER_MS
        smooth_ms = self._config.smooth_ms
        weight = 1 - math.exp(-passed_ms / smooth_ms) if smooth_ms else 1.0
        before = known.before = known.values
        known.values = {
            name: (old := before.get(name, 0.0)) + weight * (score - old)
            for name, score in scores.items()
        }
        known.before_ns, known.time_ns = known.time_ns, time_ns

    def _judge(self, task: str, known: _Scores, time_ns: int) -> list[Event]:
        spec = self._tasks.get(task)
        background = spec.background if isinstance(spec, Classification) else ()
        # Prompts may have been changed: what is no longer asked for ends.
        gone = [name for name in known.labels if name not in known.values]
        ended = [name for name in gone if known.labels.pop(name).active]
        events = [_event(task, name, "ended", time_ns, 0.0) for name in ended]
        for name, score in known.values.items():
            if name in background:
                continue
            label = known.labels.get(name)
            if label is not None and not label.active and score < self._config.begin:
                label.beyond_ns = None  # as it is with most labels, most of the time
                continue
            what = self._step(known, name)
            if what is not None:
                events.append(_event(task, name, what, time_ns, score))
        return events

    def _step(self, known: _Scores, name: str) -> Literal["began", "ended"] | None:
        config, time_ns = self._config, known.time_ns
        label, score = known.labels.setdefault(name, _Label()), known.values[name]
        limit = config.end if label.active else config.begin
        if (score >= limit) == label.active:
            label.beyond_ns = None
            return None
        if label.beyond_ns is None:
            label.beyond_ns = self._crossed_ns(known, name, limit)
            if config.debounce_ms:
                return None
        held_ns = time_ns - label.began_ns
        waited = time_ns - label.beyond_ns >= config.debounce_ms * NS_PER_MS
        if not waited or (label.active and held_ns < config.hold_ms * NS_PER_MS):
            return None
        label.active, label.beyond_ns = not label.active, None
        if label.active:
            label.began_ns = time_ns
            return "began"
        return "ended"

    def _crossed_ns(self, known: _Scores, name: str, limit: float) -> int:
        """Tell when the smoothed curve reached the limit, since the prediction before.

        That is half the debounce ago at most: one prediction does not prove a long past.
        """
        before, now = known.before.get(name, 0.0), known.values[name]
        smooth_ns = self._config.smooth_ms * NS_PER_MS
        if not smooth_ns or not min(before, now) < limit < max(before, now):
            return known.time_ns
        passed = math.exp((known.before_ns - known.time_ns) / smooth_ns)
        part = (limit - before) / (now - before) * (1 - passed)
        crossed_ns = known.before_ns - round(smooth_ns * math.log1p(-part))
        return max(crossed_ns, known.time_ns - self._config.debounce_ms * NS_PER_MS // 2)


def _event(
    task: str, label: str, what: Literal["began", "ended"], time_ns: int, score: float
) -> Event:
    return Event(task=task, label=label, what=what, time_ns=time_ns, score=score)
