"""From capture to the fused result of a camera and a microphone, less the encoders' time.

Clocked sources in this process stamp pictures at 30 Hz and blocks of 10 ms exactly when
they are due; sound windows end every 100 ms, and not before their last block is whole. What
counts is, at the sink, the age of whatever was new less the time that its graph took: the
hand-overs, the waiting for a busy core, preprocessing, fusion with contributions, events,
delivery. The least p95 of several rounds is taken: neighbours are noisy.
"""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress
from typing import ClassVar

import numpy as np

from benchmarks.live_model import IMAGE, SOUND, bundle
from mmedge import Pipeline
from mmedge.runtime.pipeline.feeds import Feed
from mmedge.runtime.pipeline.status import Status
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.samples import Block, Frame, Sample, SampleKind

LIMIT_MS = 15.0
SECONDS, ROUNDS = 5, 5
NS_PER_S = 1_000_000_000


class Clocked:
    """Gives a sample whenever one is due."""

    kinds: ClassVar[tuple[SampleKind, ...]] = ()
    name, patience_ms, rate_hz = "clocked", 2000, 1

    def open(self) -> str:
        self._begun_ns, self._count = time.monotonic_ns(), 0
        return f"{self.rate_hz} Hz"

    def read(self) -> Sample:
        self._count += 1
        due_ns = self._begun_ns + self._count * NS_PER_S // self.rate_hz
        time.sleep(max(0, due_ns - time.monotonic_ns()) / NS_PER_S)
        return self.make(self._count - 1, due_ns)

    def make(self, index: int, due_ns: int) -> Sample:
        raise NotImplementedError

    def close(self) -> None:
        pass


class Camera(Clocked):
    """Noise at 30 Hz."""

    kinds = ("image",)
    name, rate_hz = "camera", 30
    pictures = np.random.default_rng(0).integers(0, 256, (8, 480, 640, 3), dtype=np.uint8)

    def make(self, index: int, due_ns: int) -> Frame:
        return Frame(due_ns, self.pictures[index % 8], "bgr")


class Microphone(Clocked):
    """Noise in blocks of 10 ms."""

    kinds = ("sound",)
    name, rate_hz = "mic", 100
    noise = np.random.default_rng(1).integers(-3000, 3000, (160, 1), dtype=np.int16)

    def make(self, index: int, due_ns: int) -> Block:
        return Block(due_ns - NS_PER_S // self.rate_hz, self.noise, 16_000, 0, index * 160)


class Ages:
    """A sink that looks at the clock."""

    name = "ages"

    def __init__(self) -> None:
        self.ages_ms: list[float] = []
        self._seen: dict[str, int] = {}

    def emit(self, tick: Tick) -> None:
        now_ns = time.monotonic_ns()
        for modality, basis in tick.basis.items():
            if basis.encoding != self._seen.get(modality):
                model_ns = tick.latency_ns[f"{modality}/encode"]
                self.ages_ms.append((now_ns - basis.end_ns - model_ns) / 1e6)
                self._seen[modality] = basis.encoding

    def show(self, status: Status) -> None:
        pass

    def close(self) -> None:
        pass


def hurry() -> None:
    """Go before the neighbours where that is allowed: what is measured is not their work."""
    with suppress(PermissionError):
        os.nice(-10)


def measure() -> tuple[float, float, int]:
    """Median and p95 in milliseconds, and of how many."""
    sink = Ages()
    feeds = [
        Feed(make=Camera, feeds={"image": "camera"}),
        Feed(make=Microphone, feeds={"sound": "mic"}),
    ]
    with Pipeline(bundle({"camera": IMAGE, "mic": SOUND}), feeds=feeds, sinks=[sink]):
        time.sleep(1.5)  # a second until the first window of sound is whole
        sink.ages_ms.clear()
        time.sleep(SECONDS)
        ages_ms = list(sink.ages_ms)
    assert len(ages_ms) > 0.8 * SECONDS * (30 + 10), f"only {len(ages_ms)} new embeddings"
    median_ms, p95_ms = np.percentile(ages_ms, (50, 95))
    return float(median_ms), float(p95_ms), len(ages_ms)


def main() -> None:
    print(f"{platform.machine()}, {os.cpu_count()} cores")
    hurry()
    least_ms = float("inf")
    for _ in range(ROUNDS):
        median_ms, p95_ms, count = measure()
        print(f"median {median_ms:.1f} ms, p95 {p95_ms:.1f} ms (limit {LIMIT_MS}), of {count}")
        least_ms = min(least_ms, p95_ms)
        if least_ms <= LIMIT_MS:
            break
    assert least_ms <= LIMIT_MS


if __name__ == "__main__":
    main()
