"""Recordings: cut by the times of capture, by the rings that cut what comes live.

A sound or signal drives, the one of the shortest hop: at the end of each of its windows
stands a sample, with what every other modality held at that time. Without one, a picture
drives every 250 ms, as it does along files, and without pictures each text.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmedge.errors import ConfigError
from mmedge.manifest import Manifest
from mmedge.proof.data.grouping import ColumnChoice
from mmedge.proof.data.sample import UNREADABLE, RawInput, Sample, Unread
from mmedge.proof.data.spans import Span, read_spans, span_at
from mmedge.proof.data.windowing import MAX_STEPS
from mmedge.runtime.recording import Recording, open_recording
from mmedge.runtime.rings import Window, make_ring
from mmedge.specs import Image, Modality, Signal, Sound, Text

__all__ = ["read_recordings"]

_NS_PER_MS = 1_000_000
EVERY_NS = 250 * _NS_PER_MS
"""From one picture that drives to the next."""
STALE_NS = 1000 * _NS_PER_MS
"""A picture older than this is absent, where nothing has windows."""


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """What all modalities held at one time.

    Attributes:
        middle_ns: middle of the window that drives, since the recording began.
        raws: as for `Sample`.
        before: as for `Sample`.
    """

    middle_ns: int
    raws: dict[str, RawInput]
    before: dict[str, tuple[RawInput, ...]]


def read_recordings(
    folders: Sequence[Path], manifest: Manifest, *, split_by: str | None = None
) -> Iterator[Sample | Unread]:
    """Read recordings one after the other; each is a group unless a column says otherwise.

    With a ``labels.jsonl`` only what it speaks of is taken (`mmedge.proof.data.spans`): a
    sample has the labels that hold in the middle of its window. An encoder that remembers
    gives a sample where labels change, and at the latest after `MAX_STEPS` windows.

    Raises:
        ConfigError: a recording of other modalities, or without the column to split by.
        ArtefactError: no recording, or labels that are none.
    """
    choose = ColumnChoice(split_by)
    for folder in folders:
        recording = open_recording(folder)
        _check_modalities(recording, manifest)
        spans = read_spans(folder, manifest.tasks)
        for moment, span in _thinned(recording, spans, manifest):
            if isinstance(moment, Unread):
                yield moment
                continue
            where = f"{folder} at {moment.middle_ns / 1e9:.3f} s"
            yield Sample(
                where=where,
                raws=moment.raws,
                before=moment.before,
                labels=span.labels,
                columns=span.columns,
                group=choose(where, span.columns) or folder.resolve().name,
            )


def _thinned(
    recording: Recording, spans: list[Span] | None, manifest: Manifest
) -> Iterator[tuple[Moment | Unread, Span]]:
    """Give the moments that become samples, and what holds then."""
    most = MAX_STEPS if manifest.states else 1
    anything = Span(begin_ns=0, end_ns=0, labels={}, columns={})
    held: tuple[Moment, Span] | None = None
    count = 0
    for moment in _readable(recording, manifest):
        if isinstance(moment, Unread):
            yield moment, anything
            continue
        span = anything if spans is None else span_at(spans, moment.middle_ns)
        if held is not None and (span is not held[1] or count == most):
            yield held
            held = None
        count = 1 if held is None else count + 1
        held = None if span is None else (moment, span)
    if held is not None:
        yield held


def _readable(recording: Recording, manifest: Manifest) -> Iterator[Moment | Unread]:
    moments = _moments(recording, manifest)
    while True:
        try:
            moment = next(moments, None)
        except UNREADABLE as exc:
            yield Unread(str(recording.path), exc)
            return
        if moment is None:
            return
        yield moment


def _moments(recording: Recording, manifest: Manifest) -> Iterator[Moment]:
    specs = {n: m for n, m in manifest.modalities.items() if n in recording.header.tracks}
    if not specs:
        return
    driver = _driver(specs)
    length_ns = _length_ns(specs[driver])
    board = _Board(specs, length_ns or STALE_NS, frozenset(manifest.states))
    last_ns = -(2**62)
    for (end_ns, _, name), window in heapq.merge(
        *(_walk(recording, name, specs, driver, manifest) for name in specs), key=lambda w: w[0]
    ):
        board.put(name, window)
        if name != driver or (isinstance(specs[name], Image) and end_ns < last_ns + EVERY_NS):
            continue
        last_ns = end_ns
        raws, before = board.at(end_ns)
        if raws:
            middle_ns = end_ns - length_ns // 2 - recording.header.begun_ns
            yield Moment(middle_ns, raws, before)


class _Board:
    """The newest window of each modality, and those before it where an encoder remembers."""

    def __init__(
        self, specs: Mapping[str, Modality], stale_ns: int, remembering: frozenset[str]
    ) -> None:
        self._specs = specs
        self._stale_ns = stale_ns
        self._newest: dict[str, Window] = {}
        self._before: dict[str, deque[RawInput]] = {
            name: deque(maxlen=MAX_STEPS - 1) for name in remembering
        }

    def put(self, name: str, window: Window) -> None:
        """Take a window."""
        if name in self._before:
            if window.reset:
                self._before[name].clear()
            elif name in self._newest:
                self._before[name].append(self._newest[name].raw)
        self._newest[name] = window

    def at(self, time_ns: int) -> tuple[dict[str, RawInput], dict[str, tuple[RawInput, ...]]]:
        """Give what is not too old; a text holds until another comes or it is taken away."""
        raws = {
            name: self._newest[name].raw
            for name, spec in self._specs.items()
            if name in self._newest and self._holds(self._newest[name], spec, time_ns)
        }
        before = {n: tuple(each) for n, each in self._before.items() if n in raws and each}
        return raws, before

    def _holds(self, window: Window, spec: Modality, time_ns: int) -> bool:
        if isinstance(spec, Text):
            return str(window.raw).strip() != ""
        return time_ns - window.end_ns <= self._stale_ns


Key = tuple[int, int, str]


def _walk(
    recording: Recording,
    name: str,
    specs: Mapping[str, Modality],
    driver: str,
    manifest: Manifest,
) -> Iterator[tuple[Key, Window]]:
    """Give all windows of a modality, to be merged in order of time.

    A window is half open: of one moment, a picture or a text comes after the window that
    drives, and what has windows itself before it.
    """
    rank = 1 if name == driver else 0 if _length_ns(specs[name]) else 2
    ring = make_ring(name, specs[name], every=True, consecutive=name in manifest.states)
    for sample in recording.samples(name):
        ring.push(sample)
        while (window := ring.take()) is not None:
            yield (window.end_ns, rank, name), window


def _driver(specs: Mapping[str, Modality]) -> str:
    def order(name: str) -> tuple[int, int]:
        spec = specs[name]
        if isinstance(spec, (Sound, Signal)):
            return 0, spec.hop_ms
        return (1, 0) if isinstance(spec, Image) else (2, 0)

    return min(specs, key=order)


def _length_ns(spec: Modality) -> int:
    return spec.window_ms * _NS_PER_MS if isinstance(spec, (Sound, Signal)) else 0


def _check_modalities(recording: Recording, manifest: Manifest) -> None:
    for name, track in recording.header.tracks.items():
        ours = manifest.modalities.get(name)
        if ours is None or ours.kind != track.kind:
            raise ConfigError(
                f"{recording.path} holds the {track.kind} modality {name!r}, which the bundle "
                f"does not have; it has {', '.join(manifest.modalities)}"
            )
