"""From embeddings to predictions: what counts now, and what the model says of it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.encoding import Encoding
from mmedge.runtime.pipeline.events import EventTracker
from mmedge.runtime.pipeline.tick import Basis, Tick
from mmedge.runtime.prediction import Prediction
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.windows.cut import NS_PER_MS

__all__ = ["Desk", "Fuser", "Selection"]

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """What a prediction is to be made of.

    Attributes:
        time_ns: pipeline time of the decision.
        present: modality -> its newest embedding that still counts.
        absent: modality -> why it does not count.
    """

    time_ns: int
    present: Mapping[str, Encoding]
    absent: Mapping[str, str]


class Desk:
    """Holds the newest embedding of every modality, and says when to fuse which.

    The clock is an argument: live and replayed time are the same to it. Not locked.

    Args:
        predictor: an open bundle.
        config: policy and ages.
    """

    def __init__(self, predictor: Predictor, config: LiveConfig) -> None:
        modalities = predictor.manifest.modalities
        config.check(modalities)
        self._order = predictor.manifest.presence
        self._limits_ns = {
            name: _whole(config.age_limit_ms(name, modality) * NS_PER_MS)
            for name, modality in modalities.items()
        }
        self._still = {name for name, modality in modalities.items() if modality.kind == "text"}
        self._policy = config.fuse
        self._heartbeat_ns = config.heartbeat_ms * NS_PER_MS
        self._newest: dict[str, Encoding] = {}
        self._outside: Mapping[str, str] = {}
        self._new: set[str] = set()
        self.wakes_ns: float = math.inf
        """When a prediction is due even if nothing new comes: at the heartbeat, or when the
        first of what is present no longer counts. Infinite before the first prediction."""

    def put(self, encoding: Encoding) -> None:
        """Take an embedding; it replaces the one before."""
        self._newest[encoding.modality] = encoding
        self._new.add(encoding.modality)

    def explain_absence(self, reasons: Mapping[str, str]) -> None:
        """Take what the outside knows of why nothing comes, by modality."""
        self._outside = reasons

    def age_ns(self, name: str, now_ns: int) -> int | None:
        """Give the age of a modality's newest embedding."""
        encoding = self._newest.get(name)
        return None if encoding is None else now_ns - encoding.end_ns

    def due(self, now_ns: int) -> bool:
        """Tell whether a prediction is to be made now."""
        if now_ns >= self.wakes_ns:
            return True
        if self._policy == "each" or math.isinf(self.wakes_ns):
            return bool(self._new)
        if self._policy == "all":
            moving = [n for n in self._order if n not in self._still and not self._why(n, now_ns)]
            return bool(self._new) and set(moving) <= self._new
        return self._policy in self._new

    def select(self, now_ns: int) -> Selection:
        """Choose what the prediction at ``now_ns`` is made of."""
        self._new.clear()
        selection = self.peek(now_ns)
        wakes_ns: float = now_ns + self._heartbeat_ns
        for name, each in selection.present.items():
            wakes_ns = min(wakes_ns, each.end_ns + self._limits_ns[name] + 1)
        self.wakes_ns = wakes_ns
        return selection

    def peek(self, now_ns: int) -> Selection:
        """Tell what a prediction at ``now_ns`` would be made of."""
        present, absent = {}, {}
        for name in self._order:
            why = self._why(name, now_ns)
            if why:
                absent[name] = why
            else:
                present[name] = self._newest[name]
        return Selection(now_ns, present, absent)

    def _why(self, name: str, now_ns: int) -> str:
        """Say why a modality is absent; nothing if it is present."""
        encoding = self._newest.get(name)
        if encoding is not None and now_ns - encoding.end_ns <= self._limits_ns[name]:
            return encoding.absent
        return self._outside.get(name) or ("nothing has come" if encoding is None else "stale")


class Fuser:
    """Makes predictions out of selections, in order.

    Args:
        predictor: an open bundle.
        config: tolerance, events, contributions.
    """

    def __init__(self, predictor: Predictor, config: LiveConfig) -> None:
        self._predictor = predictor
        self._config = config
        self._order = predictor.manifest.presence
        self._still = {
            name for name, m in predictor.manifest.modalities.items() if m.kind == "text"
        }
        self._blank = predictor.embed([{}])
        self.tracker = EventTracker(predictor.manifest.tasks, config.events)
        """Follows scores and events."""
        self.next = 0
        """Number of the next prediction."""
        self._used: dict[str, int] = {}

    def __call__(self, selection: Selection, utc_ns: int) -> Tick:
        """Predict, and finish; what is raised is as for `predict`."""
        begun_ns = time.perf_counter_ns()
        prediction = self.predict(selection)
        return self.finish(selection, prediction, utc_ns, time.perf_counter_ns() - begun_ns)

    def predict(self, selection: Selection) -> Prediction:
        """Ask the head; changes nothing, and may take as long as it likes.

        Raises:
            ProofError: the model answers with NaN or infinity.
            ArtefactError: the head fails on these embeddings.
        """
        embeddings: dict[str, Array] = dict(self._blank)
        for encoding in selection.present.values():
            embeddings |= encoding.arrays
        presence = np.array([[name in selection.present for name in self._order]])
        return self._predictor.decide(embeddings, presence, explain=self._config.explain)[0]

    def finish(
        self, selection: Selection, prediction: Prediction, utc_ns: int, took_ns: int
    ) -> Tick:
        """Number, smooth and describe a prediction; in order, and each once."""
        present = selection.present
        smoothed = self.tracker.update(prediction, selection.time_ns)
        fresh = False
        for name, encoding in present.items():
            fresh = fresh or self._used.get(name) != encoding.number
            self._used[name] = encoding.number
        number, self.next = self.next, self.next + 1
        spread_ns = self._spread_ns(present)
        return Tick(
            number=number,
            time_ns=selection.time_ns,
            utc_ns=utc_ns,
            bundle=self._predictor.bundle.digest,
            prediction=prediction,
            basis={name: _basis(each, selection.time_ns) for name, each in present.items()},
            absent=dict(selection.absent),
            spread_ns=spread_ns,
            aligned=spread_ns <= self._config.tolerance_ms * NS_PER_MS,
            fresh=fresh,
            smoothed=smoothed.scores,
            labels=smoothed.labels,
            active=smoothed.active,
            events=smoothed.events,
            latency_ns={**_latencies(present), "fuse": took_ns},
        )

    def _spread_ns(self, present: Mapping[str, Encoding]) -> int:
        ends_ns = [each.end_ns for name, each in present.items() if name not in self._still]
        return max(ends_ns) - min(ends_ns) if ends_ns else 0


def _whole(limit_ns: float) -> float:
    """An integer where it is finite: float64 cannot hold nanoseconds of a long uptime."""
    return limit_ns if math.isinf(limit_ns) else int(limit_ns)


def _basis(encoding: Encoding, now_ns: int) -> Basis:
    return Basis(
        encoding=encoding.number,
        begin_ns=encoding.begin_ns,
        end_ns=encoding.end_ns,
        age_ns=now_ns - encoding.end_ns,
        complaints=encoding.complaints,
        reset=encoding.reset,
    )


def _latencies(present: Mapping[str, Encoding]) -> dict[str, int]:
    return {
        f"{name}/{stage}": taken_ns
        for name, encoding in present.items()
        for stage, taken_ns in encoding.latency_ns.items()
    }
