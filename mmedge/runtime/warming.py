"""A predictor made ready for live work: warm, and each graph with the threads that it is worth."""

from __future__ import annotations

from mmedge.runtime.predictor import Predictor

__all__ = ["warm_up"]

SLOW_MS = 5.0


def warm_up(predictor: Predictor, *, widen: bool) -> None:
    """Run every graph.

    Args:
        predictor: whose graphs were opened with one thread each.
        widen: open one that is slow on the CPU anew, with as many threads as its backend
            likes. Where one thread is fast enough, handing parts to others costs more than
            it saves.
    """
    took_ms = predictor.warm_up()
    if widen and predictor.kind == "cpu":
        slow = [name for name, each_ms in took_ms.items() if each_ms > SLOW_MS]
        for name in slow:
            predictor.reopen(name, threads=None)
        if slow:
            predictor.warm_up()
