"""Memory after a million predictions: nothing may grow.

The live pipeline's own parts along a clock of their own, as fast as they can: ring, encoding
stage, desk, fuser with events, the bounded queue of a sink and the one of
an iterator that nobody reads. Graphs and pictures are tiny, so that a million take minutes.
Resident memory at a million less that at a hundred thousand is held to 2 MiB; from
each of six snapshots of ``tracemalloc`` to the next no line of ours may have grown every time.
"""

from __future__ import annotations

import os
import platform
import time
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.live_model import tiny_bundle
from mmedge import LiveConfig
from mmedge.runtime.pipeline.delivery import Delivery
from mmedge.runtime.pipeline.encoding import EncodingStage
from mmedge.runtime.pipeline.fusing import Desk, Fuser
from mmedge.runtime.pipeline.rate import Rate
from mmedge.runtime.pipeline.status import Status
from mmedge.runtime.pipeline.tick import Tick
from mmedge.runtime.predictor import Predictor
from mmedge.runtime.rings import make_ring
from mmedge.runtime.samples import Frame
from mmedge.runtime.sinks.iterator import IteratorConfig, TickIterator

BEGIN, END, LIMIT_BYTES = 100_000, 1_000_000, 2 * 2**20
TRACED, SNAPSHOTS, GROWN_BYTES = 10_000, 6, 16_384
PERIOD_NS = 33_333_333


class Count:
    """A sink that only counts."""

    name, taken = "count", 0

    def emit(self, tick: Tick) -> None:
        self.taken += 1

    def show(self, status: Status) -> None:
        pass

    def close(self) -> None:
        pass


class Line:
    """Everything between a source and the sinks."""

    def __init__(self, predictor: Predictor) -> None:
        config = LiveConfig(explain=False)
        modality = predictor.manifest.modalities["camera"]
        self.ring = make_ring("camera", modality)
        self.stage = EncodingStage("camera", predictor)
        self.desk, self.fuser = Desk(predictor, config), Fuser(predictor, config)
        self.sink = Count()
        self.delivery = Delivery(self.sink, config.queue)
        self.unread = TickIterator(IteratorConfig(queue=config.queue))
        self.rate = Rate()
        self.pictures = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 3), dtype=np.uint8)
        self.ticks = 0

    def run(self, until: int) -> None:
        while self.ticks < until:
            self.ticks += 1
            now_ns = self.ticks * PERIOD_NS
            self.ring.push(Frame(now_ns, self.pictures[self.ticks % 64].copy()))
            window = self.ring.take()
            assert window is not None
            self.desk.put(self.stage(window))
            assert self.desk.due(now_ns)
            tick = self.fuser(self.desk.select(now_ns), now_ns)
            self.rate.count(now_ns)
            self.unread.emit(tick)
            self.delivery.put(tick)


def rss_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def grown(line: Line) -> list[str]:
    """Lines of code whose objects become more with every ten thousand predictions.

    Once or twice is chance: how many predictions wait in the queues differs from one moment to
    the next, and numpy keeps small blocks for others than who asked for them.
    """
    sizes: list[dict[str, int]] = []
    tracemalloc.start()
    for _ in range(SNAPSHOTS):
        line.run(line.ticks + TRACED)
        found = tracemalloc.take_snapshot().statistics("lineno")
        sizes.append({str(each.traceback): each.size for each in found})
    tracemalloc.stop()
    grew = [
        {site for site, size in after.items() if size - before.get(site, 0) > GROWN_BYTES}
        for before, after in pairwise(sizes)
    ]
    return [
        f"{site}: {' -> '.join(str(each.get(site, 0)) for each in sizes)} bytes"
        for site in sorted(set.intersection(*grew))
        if "tracemalloc" not in site
    ]


def main() -> None:
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with Predictor(tiny_bundle(), threads=1) as predictor:
        line, begun_s = Line(predictor), time.monotonic()
        line.run(BEGIN)
        before_bytes = rss_bytes()
        line.run(END)
        added_bytes = rss_bytes() - before_bytes
        print(
            f"{END} predictions in {time.monotonic() - begun_s:.0f} s: resident memory "
            f"{before_bytes / 2**20:.1f} MiB at {BEGIN}, {added_bytes / 2**20:+.2f} MiB since "
            f"(limit {LIMIT_BYTES / 2**20:.0f})"
        )
        lines = grown(line)
        line.delivery.stop()
        line.delivery.join(2.0)
    print("allocations that grew:", lines or "none")
    assert line.sink.taken > 0
    assert added_bytes <= LIMIT_BYTES
    assert not lines


if __name__ == "__main__":
    main()
