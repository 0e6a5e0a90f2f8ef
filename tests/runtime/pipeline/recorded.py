"""Live runs on the demo's clip that are recorded, and the decisions made meanwhile."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmedge.bundle import Bundle
from mmedge.runtime.clips import open_sound, open_video
from mmedge.runtime.pipeline.config import EventConfig, LiveConfig
from mmedge.runtime.pipeline.pipeline import Pipeline
from mmedge.runtime.pipeline.recorder import RecordConfig, Recorder
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.recording import Recording, open_recording
from tests.conftest import DEMO

CLIP = DEMO.parent / "clip.mkv"
SPEED, CLIP_S = 4, 6
CONFIG = LiveConfig(max_age_ms={"camera": 900}, events=EventConfig(smooth_ms=200))

Live = tuple[Recording, list[str]]


def clock() -> int:
    """Time that runs four times as fast, so that six seconds of clip take one and a half."""
    return time.monotonic_ns() * SPEED


def feed(pipeline: Pipeline, begin_ns: int) -> None:
    """Push the beginning of the demo's clip at its own times."""
    limit_ns = CLIP_S * 10**9
    items: list[tuple[int, int, str, Any]] = [
        (frame.time_ns, frame.time_ns, "camera", frame.rgb)
        for frame in open_video(CLIP).frames()
        if frame.time_ns < limit_ns
    ]
    for block in open_sound(CLIP).blocks():
        come_ns = block.time_ns + block.pcm.duration_ns
        if come_ns < limit_ns:
            items.append((come_ns, block.time_ns, "mic", block.pcm))
    for come_ns, time_ns, name, value in sorted(items, key=lambda item: item[0]):
        time.sleep(max(begin_ns + come_ns - clock(), 0) / 1e9 / SPEED)
        pipeline.push(name, value, begin_ns + time_ns)
    pipeline.push("hint", "even")
    time.sleep(0.2)


def decisions(ticks: Iterator[Tick]) -> list[str]:
    return [json.dumps(tick.decision()) for tick in ticks]


def record(
    folder: Path, demo: Bundle, prepare: Callable[[Pipeline], None] = lambda _: None
) -> Live:
    keep = Recorder(RecordConfig(path=folder / "a.recording"), demo, CONFIG, clock=clock)
    with Pipeline(demo, config=CONFIG, recorder=keep, clock=clock) as pipeline:
        prepare(pipeline)

        def run() -> None:
            feed(pipeline, clock())
            pipeline.close()

        threading.Thread(target=run).start()
        made = decisions(iter(pipeline))
    return open_recording(folder / "a.recording"), made
