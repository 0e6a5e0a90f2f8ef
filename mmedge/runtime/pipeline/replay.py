"""A recording's way through the model once more, by the recording's own clock.

``as_run`` repeats what each live prediction was made of, and so gives exactly the live
decisions. ``ideal`` drops nothing: every picture and every window is encoded, and takes no
time; it does not depend on how fast this machine is, or how the sound was cut into blocks.
"""

from __future__ import annotations

import heapq
import json
import logging
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice

from pydantic import TypeAdapter

from mmedge.bundle import Bundle
from mmedge.errors import ArtefactError, ConfigError, SourceError
from mmedge.runtime.pipeline.config import LiveConfig
from mmedge.runtime.pipeline.encoding import Encoding, EncodingStage
from mmedge.runtime.pipeline.fusing import Desk, Fuser, Selection
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.plans import AUTO
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.prompts import takes_prompts
from mmedge.runtime.recording import Recording
from mmedge.runtime.recording.layout import (
    EncodingRow,
    PromptsRow,
    SwapRow,
    ThreadsRow,
    TickRow,
    told,
)
from mmedge.runtime.rings import Ring, Window, make_ring
from mmedge.runtime.samples import Block, Sample
from mmedge.runtime.windows.cut import NS_PER_MS

__all__ = ["as_run", "ideal", "recorded_config", "recorded_run"]

_log = logging.getLogger(__name__)

_HANGS_KEPT = 2
"""An encoding is kept for so many times the time after which a fusion is abandoned, from when
another took its place: until then a prediction that was made of it may stand in the log."""


def recorded_config(recording: Recording) -> LiveConfig:
    """Give the configuration that the recording was made with.

    Raises:
        ArtefactError: the recording holds none that can be meant.
    """
    try:
        return TypeAdapter(LiveConfig).validate_json(json.dumps(recording.header.live), strict=True)
    except ValueError as exc:
        raise ArtefactError(f"{recording.path} holds no live configuration: {told(exc)}") from exc


def recorded_run(recording: Recording, backend: str, plan: str) -> tuple[str, str]:
    """Give the backend and the plan of then in the place of ``auto``, which may have changed."""
    rows = (row for row in recording.log() if isinstance(row, ThreadsRow))
    row = next(rows, None) if AUTO in (backend, plan) else None
    if row is None:
        return backend, plan
    return (row.backend if backend == AUTO else backend, row.plan if plan == AUTO else plan)


def as_run(predictor: Predictor, recording: Recording) -> Iterator[Tick]:
    """Repeat the live predictions from the log.

    Args:
        predictor: the bundle that was recorded with; gets the prompts and, on a CPU, the
            threads of then.
        recording: with a log.

    Raises:
        ConfigError: another bundle.
        SourceError: what a prediction was made of was not recorded.
        ArtefactError: the recording is damaged.
    """
    if predictor.bundle.digest != recording.header.bundle:
        raise ConfigError(
            f"{recording.path} was made with another bundle ({recording.header.model}, "
            f"{recording.header.bundle[:12]}); as-run repeats its predictions only with that "
            "one. 'ideal' takes any bundle with the same modalities."
        )
    config = recorded_config(recording)
    kept_ns = _HANGS_KEPT * config.hang_ms * NS_PER_MS
    names = predictor.manifest.presence
    players = {name: _Player(name, predictor, recording, kept_ns) for name in names}
    fuser = Fuser(predictor, config)
    try:
        for row in recording.log():
            if isinstance(row, EncodingRow):
                players[row.modality].repeat(row)
            elif isinstance(row, PromptsRow):
                predictor.set_prompts(row.texts, row.template)
            elif isinstance(row, ThreadsRow):
                _set_threads(predictor, row)
            elif isinstance(row, SwapRow):
                raise _went_on(recording, row.bundle)
            else:
                yield fuser(_selection(row, players, recording), row.utc_ns)
    except (KeyError, OverflowError) as exc:
        raise ArtefactError(f"{recording.path}: the log names what is not there: {exc}") from exc


def _set_threads(predictor: Predictor, row: ThreadsRow) -> None:
    """Add up in the order of then: another number of threads may add up in another."""
    for name, threads in row.graphs.items():
        if predictor.threads[name] != threads and predictor.kind == "cpu":
            predictor.reopen(name, threads)


def _selection(row: TickRow, players: Mapping[str, _Player], recording: Recording) -> Selection:
    decided = row.decision
    if decided.bundle != recording.header.bundle:
        raise _went_on(recording, decided.bundle)
    present = {name: players[name].made[number] for name, number in row.uses.items()}
    return Selection(decided.time_ns, present, decided.absent)


def _went_on(recording: Recording, bundle: str) -> SourceError:
    same = "the same bundle, opened anew" if bundle == recording.header.bundle else "another bundle"
    return SourceError(
        f"{recording.path} went on with {same} ({bundle[:12]}); up to here it was repeated"
    )


class _Player:
    """One modality: its recorded samples, and what is made of them."""

    def __init__(self, name: str, predictor: Predictor, recording: Recording, kept_ns: int) -> None:
        self._name = name
        self._recording = recording
        self._kept_ns = kept_ns
        self._ring = make_ring(
            name,
            predictor.manifest.modalities[name],
            every=True,
            consecutive=name in predictor.manifest.states,
        )
        self._samples = recording.samples(name)
        self._stage = EncodingStage(name, predictor)
        self._stop: tuple[int, int] | None = None
        self.made: dict[int, Encoding] = {}

    def repeat(self, row: EncodingRow) -> None:
        """Encode what the log names."""
        window = self._ring.cut(row.place)
        while window is None:
            sample = next(self._samples, None)
            if sample is None or self._misses(sample):
                raise SourceError(
                    f"{self._recording.path}: what encoding {row.number} of {self._name!r} was "
                    "made of was not recorded (it could not be kept up with, or was cut off)"
                )
            self._ring.push(sample)
            window = self._ring.cut(row.place)
        window = replace(window, reset=row.reset, skipped=row.skipped)
        self._stage.next = row.number
        made = self.made[row.number] = self._stage(window)
        while len(self.made) > 1:
            oldest, following = islice(self.made, 2)
            if self.made[following].end_ns >= made.end_ns - self._kept_ns:
                break
            del self.made[oldest]

    def _misses(self, sample: Sample) -> bool:
        """Tell whether sound before it, of the same run, was not recorded."""
        if not isinstance(sample, Block):
            return False
        before, self._stop = self._stop, (sample.run, sample.index + len(sample.samples))
        return before is not None and before[0] == sample.run and before[1] != sample.index


def ideal(
    predictor: Predictor,
    recording: Recording,
    config: LiveConfig,
    *,
    block_ms: int | None = None,
    recorded_prompts: bool = True,
) -> Iterator[Tick]:
    """Predict along a recording, dropping nothing.

    Args:
        predictor: any bundle with the recording's modalities.
        recording: what came.
        config: policy and events.
        recorded_prompts: choose among the prompts of then, from when they were set; else among
            those that the predictor has.
        block_ms: length of the blocks of sound, which changes nothing.

    Raises:
        ConfigError: the bundle has other modalities.
        SourceError: a file of the recording is missing or damaged.
        ArtefactError: a line of the log breaks a rule.
    """
    _check_modalities(predictor.bundle, recording)
    desk, fuser = Desk(predictor, config), Fuser(predictor, config)
    stages = {name: EncodingStage(name, predictor) for name in predictor.manifest.presence}
    prompts = _PromptsOfThen(predictor, recording, follows=recorded_prompts)
    offset_ns = recording.header.begun_utc_ns - recording.header.begun_ns
    for end_ns, column, window in heapq.merge(*_windows(predictor, recording, block_ms)):
        while desk.wakes_ns < end_ns:
            wakes_ns = int(desk.wakes_ns)
            prompts.follow(wakes_ns)
            yield fuser(desk.select(wakes_ns), wakes_ns + offset_ns)
        prompts.follow(end_ns)
        desk.put(stages[predictor.manifest.presence[column]](window.window))
        if desk.due(end_ns):
            yield fuser(desk.select(end_ns), end_ns + offset_ns)
    # Nothing more comes: what is present becomes stale, and events end.
    while recording.header.ended_ns is not None and desk.wakes_ns <= recording.header.ended_ns:
        wakes_ns = int(desk.wakes_ns)
        prompts.follow(wakes_ns)
        yield fuser(desk.select(wakes_ns), wakes_ns + offset_ns)


class _PromptsOfThen:
    """Sets the prompts that were set while it was recorded, when their time has come."""

    def __init__(self, predictor: Predictor, recording: Recording, *, follows: bool) -> None:
        self._predictor = predictor
        rows = (row for row in recording.log() if isinstance(row, PromptsRow))
        self._rows = deque(rows if follows else ())
        if self._rows and not takes_prompts(predictor.manifest):
            _log.warning("%s: its prompts are left out; this model takes none", recording.path)
            self._rows.clear()

    def follow(self, time_ns: int) -> None:
        """Set what had been set by then."""
        while self._rows and self._rows[0].time_ns <= time_ns:
            row = self._rows.popleft()
            self._predictor.set_prompts(row.texts, row.template)


class _Held:
    """A window that is never compared: times and columns decide the order."""

    def __init__(self, window: Window) -> None:
        self.window = window

    def __lt__(self, other: object) -> bool:
        return False


def _windows(
    predictor: Predictor, recording: Recording, block_ms: int | None
) -> list[Iterator[tuple[int, int, _Held]]]:
    manifest = predictor.manifest
    walks = []
    for column, name in enumerate(manifest.presence):
        consecutive = name in manifest.states
        ring = make_ring(name, manifest.modalities[name], every=True, consecutive=consecutive)
        samples = recording.samples(name, block_ms=block_ms)
        walks.append(_walk(column, ring, samples))
    return walks


def _walk(column: int, ring: Ring, samples: Iterator[Sample]) -> Iterator[tuple[int, int, _Held]]:
    for sample in samples:
        ring.push(sample)
        while (window := ring.take()) is not None:
            yield window.end_ns, column, _Held(window)


def _check_modalities(bundle: Bundle, recording: Recording) -> None:
    for name in recording.header.tracks:
        theirs, ours = recording.header.modalities[name], bundle.manifest.modalities.get(name)
        if ours is None or ours.kind != theirs.kind:
            raise ConfigError(
                f"{recording.path} holds the {theirs.kind} modality {name!r}, which the bundle "
                f"does not have; it has {', '.join(bundle.manifest.modalities)}"
            )
