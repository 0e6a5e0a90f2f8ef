"""Axes: where a number lies in a picture, and where its axis is marked."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Axis", "ticks"]


@dataclass(frozen=True, slots=True)
class Axis:
    """A straight scale.

    Attributes:
        low: number at ``begin``.
        high: number at ``end``.
        begin: where it begins, in the picture's units.
        end: where it ends; below ``begin`` for an axis that goes up.
    """

    low: float
    high: float
    begin: float
    end: float

    def at(self, number: float) -> float:
        """Where a number lies; one beyond the axis lies at its end."""
        span = self.high - self.low
        share = (number - self.low) / span if span > 0 else 0.5
        return self.begin + min(1.0, max(0.0, share)) * (self.end - self.begin)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from ``low`` to ``high``, about as many as asked for."""
    if not high > low:
        return [low]
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * each for each in (1, 2, 5, 10) if power * each >= 0.8 * raw)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{number * step:.6g}") for number in range(first, last + 1)]
