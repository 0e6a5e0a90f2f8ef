"""Telling what is under way: each stage at once, its steps now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["SELDOM_S", "Say", "Teller", "seldom"]

Say = Callable[[str], None]

SELDOM_S = 2.0


class Teller:
    """Tells stages, and of long ones their steps.

    Args:
        say: told what is under way.
    """

    def __init__(self, say: Say) -> None:
        self._say = say
        self._last = time.monotonic()

    def __call__(self, stage: str) -> None:
        """Tell a stage."""
        self._last = time.monotonic()
        self._say(stage)

    def step(self, text: str) -> None:
        """Tell a step, unless something was told in the last two seconds."""
        if time.monotonic() - self._last >= SELDOM_S:
            self(text)


def seldom(say: Say) -> Say:
    """Give what tells steps of the stages that a `Teller` tells, or of one stage of another."""
    return say.step if isinstance(say, Teller) else Teller(say).step
