"""How often something happened lately."""

from __future__ import annotations

from collections import deque

__all__ = ["Rate"]

_OVER_NS = 5_000_000_000
_MOST = 256


class Rate:
    """Counts what happened in the last seconds; one thread counts, others may ask."""

    def __init__(self) -> None:
        self._times_ns: deque[int] = deque(maxlen=_MOST)

    def count(self, now_ns: int) -> None:
        """It happened now."""
        self._times_ns.append(now_ns)

    def per_second(self, now_ns: int) -> float:
        """Give how often per second; 0 if it has not happened lately. N times are N-1 intervals."""
        times_ns = [time_ns for time_ns in list(self._times_ns) if now_ns - time_ns <= _OVER_NS]
        if len(times_ns) < 2:
            return 0.0
        return (len(times_ns) - 1) * 1e9 / max(times_ns[-1] - times_ns[0], 1)
