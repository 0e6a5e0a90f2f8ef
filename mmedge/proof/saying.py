"""Telling what is under way, now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["SELDOM_S", "Say", "seldom"]

Say = Callable[[str], None]

SELDOM_S = 2.0


def seldom(say: Say) -> Say:
    """Pass on what is said at most every two seconds, and nothing before."""
    last = time.monotonic()

    def pass_on(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= SELDOM_S:
            last = time.monotonic()
            say(text)

    return pass_on
