"""Predictions and states with known numbers, for every sink."""

from __future__ import annotations

from typing import Any

from mmedge.runtime.pipeline.status import (
    ModalityStatus,
    SinkStatus,
    SourceStatus,
    Status,
)
from mmedge.runtime.pipeline.tick import Basis, Event, Tick
from mmedge.runtime.prediction import Prediction, TaskPrediction

# 2026-11-25 00:00:00 UTC
MIDNIGHT_NS = 1_795_564_800_000_000_000
SECOND_NS = 1_000_000_000


class HandClock:
    """A clock that moves when it is told to."""

    def __init__(self, now_ns: int = 0) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns

    def forward(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND_NS)


def began(label: str = "seven", *, time_ns: int = 0, score: float = 0.75) -> Event:
    return Event(task="digit", label=label, what="began", time_ns=time_ns, score=score)


def make_tick(number: int = 0, *, events: tuple[Event, ...] = (), **changes: Any) -> Tick:
    """Number ``number``, a quarter of a second after the one before."""
    time_ns = number * SECOND_NS // 4
    answer = TaskPrediction(
        scores={"six": 0.25, "seven": 0.75},
        label="seven",
        contributions={"camera": 0.5, "mic": 0.125, "hint": 0.0},
    )
    told: dict[str, Any] = {
        "number": number,
        "time_ns": time_ns,
        "utc_ns": MIDNIGHT_NS + time_ns,
        "bundle": "0123456789ab",
        "prediction": Prediction(
            tasks={"digit": answer}, presence={"camera": True, "mic": True, "hint": False}
        ),
        "basis": {
            "camera": Basis(encoding=number, begin_ns=time_ns, end_ns=time_ns, age_ns=33_000_000),
            "mic": Basis(
                encoding=number,
                begin_ns=time_ns - SECOND_NS,
                end_ns=time_ns,
                age_ns=120_000_000,
                complaints=("clipped",),
            ),
        },
        "absent": {"hint": "no device"},
        "spread_ns": 12_000_000,
        "aligned": True,
        "fresh": True,
        "smoothed": {"digit": {"six": 0.25, "seven": 0.75}},
        "active": {"digit": ("seven",)},
        "events": events,
        "latency_ns": {"fuse": 500_000},
    }
    return Tick(**{**told, **changes})


def make_status(**changes: Any) -> Status:
    """Camera and microphone are live, the hint has no device."""
    told: dict[str, Any] = {
        "time_ns": 5 * SECOND_NS,
        "bundle": "0123456789ab",
        "model": "digits",
        "ready": True,
        "ticks": 20,
        "rate_hz": 4.0,
        "uptime_s": 5.0,
        "sources": (
            SourceStatus(
                name="camera 0",
                feeds=("camera",),
                state="live",
                granted="640x480 MJPG at 30 Hz",
                opened=1,
                samples=150,
                rate_hz=30.0,
            ),
            SourceStatus(
                name="microphone pulse",
                feeds=("mic",),
                state="waiting",
                reason="unplugged",
                opened=2,
                samples=500,
                rate_hz=48000.0,
                drift_ppm=-12.5,
            ),
        ),
        "modalities": {
            "camera": ModalityStatus(
                name="camera",
                present=True,
                age_ms=33.0,
                encodings=75,
                rate_hz=15.0,
                skipped=74,
                encode_ms=4.5,
                complaints=("dark",),
            ),
            "mic": ModalityStatus(name="mic", present=False, reason="microphone pulse: unplugged"),
        },
        "sinks": (SinkStatus(name="jsonl", taken=20, dropped=1, degraded="disk full"),),
        "board": {"power_mode": "MAXN"},
    }
    return Status(**{**told, **changes})
