"""Latency of one graph over another's, measured in interleaved pairs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from mmedge.runtime.backends import Arrays, open_backend

__all__ = ["Ratio", "latency_ratio"]

PAIRS = 31
WARM_UP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How long a graph takes beside its reference.

    Attributes:
        median: of the pairs' ratios; below 1 is faster.
        ms: median of the graph itself.
        reference_ms: median of its reference.
    """

    median: float
    ms: float
    reference_ms: float


def latency_ratio(
    reference: bytes,
    graph: bytes,
    feeds: Arrays,
    *,
    threads: int | None = None,
    pairs: int = PAIRS,
) -> Ratio:
    """Run two graphs in turn on the same input on the CPU, and compare pair by pair.

    Neighbours on the machine slow both halves of a pair alike, so the median of the ratios
    says more than the ratio of two medians.

    Args:
        reference: ONNX file.
        graph: ONNX file with the same inputs.
        feeds: input -> ``[B, ...]``.
        threads: CPU threads inside one operator.
        pairs: how many.
    """
    with (
        open_backend("cpu", reference, what="the reference", threads=threads) as left,
        open_backend("cpu", graph, what="the candidate", threads=threads) as right,
    ):
        for _ in range(WARM_UP):
            left.run(feeds)
            right.run(feeds)
        times = []
        for turn in range(pairs):
            # Who goes first takes turns: the second may find warmer caches.
            if turn % 2:
                late = _ms(lambda: right.run(feeds))
                times.append((_ms(lambda: left.run(feeds)), late))
            else:
                times.append((_ms(lambda: left.run(feeds)), _ms(lambda: right.run(feeds))))
    return Ratio(
        median=statistics.median(mine / other for other, mine in times),
        ms=statistics.median(mine for _, mine in times),
        reference_ms=statistics.median(other for other, _ in times),
    )


def _ms(call: Callable[[], object]) -> float:
    begin = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - begin) / 1e6
