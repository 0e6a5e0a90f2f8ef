"""Latency over float32's, of a graph or of a plan, measured in interleaved pairs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mmedge.bundle import Bundle
from mmedge.proof.data import Prepared
from mmedge.proof.plans.timing import time_plans
from mmedge.runtime.backends import Arrays, open_backend
from mmedge.runtime.predictor import Predictor

__all__ = ["Ratio", "latency_ratio", "plan_ratio"]

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


def plan_ratio(bundle: Bundle, plan: str, prepared: Prepared) -> float:
    """Time of all graphs of a plan over float32's on the CPU, each run once for one sample."""
    with Predictor(bundle, plan="fp32") as reference, Predictor(bundle, plan=plan) as candidate:
        times = time_plans({"fp32": reference, plan: candidate}, prepared)
    whole = {name: np.sum(list(graphs.values()), axis=0) for name, graphs in times.items()}
    return round(float(np.median(whole[plan] / whole["fp32"])), 4)


def _ms(call: Callable[[], object]) -> float:
    begin = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - begin) / 1e6
