"""The state of a pipeline as metrics, for node_exporter's file and for the server alike.

Names follow https://prometheus.io/docs/practices/naming/: seconds and ratios, and what
counts up ends with ``_total``. What is not known (NaN) is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from mmedge.runtime.pipeline.status import ModalityStatus, SourceState, SourceStatus, Status

__all__ = ["Metric", "exposition", "metrics_of"]

_STATES = ("power_mode", "throttled")

Samples = tuple[tuple[Mapping[str, str], float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric with all its samples.

    Attributes:
        name: without a unit's prefix; a counter's ends with ``_total``.
        help: one sentence.
        kind: ``gauge`` goes up and down, ``counter`` only up.
        samples: labels and value of each.
    """

    name: str
    help: str
    kind: Literal["gauge", "counter"]
    samples: Samples


def metrics_of(status: Status) -> list[Metric]:
    """Turn the state into metrics, every name once, only those with samples."""
    found = [*_pipeline(status), *_modalities(status), *_sources(status.sources), *_sinks(status)]
    return [metric for metric in found if metric.samples]


def exposition(metrics: Iterable[Metric]) -> str:
    """Write metrics in Prometheus' text format, version 0.0.4.

    https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    lines = []
    for metric in metrics:
        told = metric.help.replace("\\", r"\\").replace("\n", r"\n")
        lines += [f"# HELP {metric.name} {told}", f"# TYPE {metric.name} {metric.kind}"]
        for labels, value in metric.samples:
            inside = ",".join(f'{name}="{_quoted(each)}"' for name, each in labels.items())
            lines.append(
                f"{metric.name}{{{inside}}} {value}" if inside else f"{metric.name} {value}"
            )
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _metric(name: str, told: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> Metric:
    known = tuple((labels, float(value)) for labels, value in samples if not math.isnan(value))
    kind: Literal["gauge", "counter"] = "counter" if name.endswith("_total") else "gauge"
    return Metric(name=f"mmedge_{name}", help=told, kind=kind, samples=known)


def _pipeline(status: Status) -> list[Metric]:
    about = {"model": status.model, "bundle": status.bundle}
    return [
        _metric("info", "What runs.", [(about, 1)]),
        _metric("ready", "Warmed up and able to predict.", [({}, status.ready)]),
        _metric(
            "degraded",
            "Something is wrong beyond single modalities.",
            [({}, bool(status.degraded))],
        ),
        _metric("ticks_total", "Predictions.", [({}, status.ticks)]),
        _metric("ticks_per_second", "Predictions per second lately.", [({}, status.rate_hz)]),
        _metric("uptime_seconds", "Since the pipeline began.", [({}, status.uptime_s)]),
        *_board(status.board),
    ]


def _board(board: Mapping[str, str]) -> list[Metric]:
    # A number in a label would make a new time series whenever it changes.
    states = [({"item": key, "value": board[key]}, 1.0) for key in _STATES if key in board]
    events = [
        ({"kind": key.removesuffix("_events")}, _leading(value))
        for key, value in board.items()
        if key.endswith("_events")
    ]
    return [
        _metric("board_info", "What the board says of itself.", states),
        _metric(
            "board_temperature_celsius",
            "Its hottest zone.",
            [({}, _leading(board.get("temperature", "")))],
        ),
        _metric(
            "board_events_total",
            "Throttling and over-current since the start.",
            events,
        ),
    ]


def _leading(text: str) -> float:
    """Read the number that a text begins with; NaN if it begins with none."""
    match = re.match(r"-?\d+(\.\d+)?", text)
    return math.nan if match is None else float(match[0])


def _modalities(status: Status) -> list[Metric]:
    every = list(status.modalities.values())

    def of(name: str, told: str, values: Iterable[float]) -> Metric:
        labels = [{"modality": each.name} for each in every]
        return _metric(f"modality_{name}", told, zip(labels, values, strict=True))

    return [
        of("present", "It would count now.", [each.present for each in every]),
        of("degraded", "Its encoder or backend suffers.", [bool(each.degraded) for each in every]),
        of("age_seconds", "Age of the newest that was encoded.", [x.age_ms / 1e3 for x in every]),
        of("encodings_total", "Runs of its encoder.", [each.encodings for each in every]),
        of("encodings_per_second", "Runs per second lately.", [each.rate_hz for each in every]),
        of("skipped_total", "Inputs that newer ones overtook.", [each.skipped for each in every]),
        of("encode_seconds", "One run, smoothed.", [each.encode_ms / 1e3 for each in every]),
        _complaints(every),
    ]


def _complaints(every: Iterable[ModalityStatus]) -> Metric:
    samples = [
        ({"modality": each.name, "complaint": complaint}, 1.0)
        for each in every
        for complaint in each.complaints
    ]
    return _metric("modality_complaint", "Its input is spoiled so.", samples)


def _sources(sources: Iterable[SourceStatus]) -> list[Metric]:
    every = list(sources)
    states: tuple[str, ...] = get_args(SourceState)

    def of(name: str, told: str, values: Iterable[float]) -> Metric:
        labels = [_which(each) for each in every]
        return _metric(f"source_{name}", told, zip(labels, values, strict=True))

    state = [
        ({**_which(each), "state": each_state}, float(each.state == each_state))
        for each in every
        for each_state in states
    ]
    return [
        _metric("source_state", "1 for the state that it is in.", state),
        of("opened_total", "How often it was opened.", [each.opened for each in every]),
        of("samples_total", "Pictures, blocks, lines or readings.", [x.samples for x in every]),
        of(
            "rate_hertz", "Per second lately; of sound its sample rate.", [x.rate_hz for x in every]
        ),
        of("drift_ppm", "Its clock against the host's.", [each.drift_ppm for each in every]),
    ]


def _which(source: SourceStatus) -> dict[str, str]:
    # Two streams of one host are shown by one name; no modality has two sources.
    return {"source": source.name, "feeds": ",".join(source.feeds)}


def _sinks(status: Status) -> list[Metric]:
    every = status.sinks

    def of(name: str, told: str, values: Iterable[float]) -> Metric:
        labels = [{"sink": each.name} for each in every]
        return _metric(f"sink_{name}", told, zip(labels, values, strict=True))

    return [
        of("taken_total", "Predictions that it took.", [each.taken for each in every]),
        of("dropped_total", "Predictions that it lost.", [each.dropped for each in every]),
        of("degraded", "It cannot take them now.", [bool(each.degraded) for each in every]),
    ]
