"""Side by side: who is compared takes turns, so that neighbours on the machine slow all alike."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from typing import TypeVar

__all__ = ["rounds_of"]

T = TypeVar("T")


def rounds_of(
    who: Collection[T], *, rounds: int, least: int, most_s: float
) -> Iterator[tuple[int, list[T]]]:
    """Give round by round who has a turn, in order; who begins changes.

    The ratio of two within a round says more than that of two medians.

    Args:
        who: at least one; some may be taken out meanwhile.
        rounds: how many after round 0, which is to warm up.
        least: so many are given, however long they take...
        most_s: ...and after so long no more than them.
    """
    begin_s = time.monotonic()
    for number in range(rounds + 1):
        running = list(who)
        shift = number % len(running)
        yield number, running[shift:] + running[:shift]
        if number >= least and time.monotonic() - begin_s > most_s:
            return
