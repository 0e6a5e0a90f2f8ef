"""Readings of sensors as timed JSON lines: from standard input, a pipe, or a growing file."""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from mmedge.errors import ConfigError
from mmedge.runtime.samples import Reading, SampleKind
from mmedge.runtime.sources.follow import Followed
from mmedge.runtime.sources.source import ENDLESS_MS
from mmedge.runtime.sources.stream_clock import StreamClock

__all__ = ["SignalConfig", "SignalSource"]

_log = logging.getLogger(__name__)

_NS_PER_S = 1_000_000_000
_LONGEST_BYTES = 65_536
_OLDEST_NS = 60 * _NS_PER_S
_EARLIEST_NS = _NS_PER_S
_MAX_S = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalConfig:
    """Where readings come from, and what their times mean.

    Attributes:
        path: ``-`` for standard input, else a file or a named pipe; of a file that is there
            already, only what is added is read.
        channels: numbers in each reading; ``None``: as many as in the first.
        clock: what ``t`` counts on. ``wall``: seconds since 1970, on this machine's clock or
            one in step with it; ``monotonic``: this machine's ``CLOCK_MONOTONIC``; ``own``: the
            sender's, from whatever zero.
    """

    path: str = "-"
    channels: int | None = None
    clock: Literal["wall", "monotonic", "own"] = "wall"

    def __post_init__(self) -> None:
        if not self.path:
            raise ConfigError("path=''; give a file of JSON lines, or - for standard input")
        if self.channels is not None and self.channels < 1:
            raise ConfigError(f"channels={self.channels}; give 1 or more, or leave it out")
        if self.clock not in {"wall", "monotonic", "own"}:
            raise ConfigError(f"clock='{self.clock}'; give wall, monotonic or own")


class _BadLine(Exception):  # noqa: N818 - the reason why a line is passed over
    pass


class SignalSource:
    """Readings, one JSON object per line.

    ``v`` is a number, or a list with one per channel, all finite. ``t`` is when it was
    taken, in seconds; or ``t_ns``, in whole nanoseconds; without either, it was taken when
    it arrived::

        {"t": 1753000000.125, "v": [0.1, -9.8, 0.3]}
        {"t_ns": 1753000000125000000, "v": 21.5}
        {"v": [1, 2, 3]}

    A line that is not so, one that is more than a minute old or a second ahead, and one
    that is not later than its predecessor is passed over and counted in ``bad``.
    """

    kinds: ClassVar[tuple[SampleKind, ...]] = ("signal",)

    def __init__(self, config: SignalConfig) -> None:
        self.name = "signal from " + ("standard input" if config.path == "-" else config.path)
        self.patience_ms = ENDLESS_MS
        self.bad = 0
        self._config = config
        self._lines = Followed(config.path, last=0, longest_bytes=_LONGEST_BYTES)
        self._channels = config.channels
        self._clock = StreamClock()
        self._last_ns = -1

    def open(self) -> str:
        """Open it; see `Source`."""
        self._clock = StreamClock()
        return self._lines.open()

    def read(self) -> Reading | None:
        """Wait for the next reading; see `Source`."""
        line = self._lines.next_line()
        if line is None or not line.strip():
            return None
        arrival_ns = time.monotonic_ns()
        try:
            row = _parse(line)
            values = self._values(row)
            time_ns = self._time_ns(row, arrival_ns)
        except _BadLine as exc:
            self.bad += 1
            # Said at the first, the tenth, the hundredth...: a sensor may send a thousand a second.
            if math.log10(self.bad).is_integer():
                _log.warning("%s: %s (%d bad lines so far)", self.name, exc, self.bad)
            return None
        self._last_ns = time_ns
        return Reading(time_ns, values)

    def _values(self, row: dict[str, Any]) -> npt.NDArray[np.float64]:
        numbers = row.get("v")
        numbers = numbers if isinstance(numbers, list) else [numbers]
        if not numbers or not all(map(_is_number, numbers)):
            raise _BadLine("'v' must be a finite number, or a list of such")
        if self._channels is None:
            self._channels = len(numbers)
        if len(numbers) != self._channels:
            raise _BadLine(f"'v' has {len(numbers)} channels, not {self._channels}")
        return np.array(numbers, np.float64)

    def _time_ns(self, row: dict[str, Any], arrival_ns: int) -> int:
        stamp_ns = _stamp_ns(row)
        if stamp_ns is None:
            return max(arrival_ns, self._last_ns + 1)
        if self._config.clock == "own":
            self._clock.note(stamp_ns, arrival_ns)
            time_ns = self._clock.pipeline_ns(stamp_ns)
        elif self._config.clock == "wall":
            # Asked for each reading, because a wall clock may be set at any time.
            time_ns = stamp_ns - time.time_ns() + arrival_ns
        else:
            time_ns = stamp_ns
        if not -_EARLIEST_NS <= arrival_ns - time_ns <= _OLDEST_NS:
            raise _BadLine(
                f"its time lies {(arrival_ns - time_ns) / 1e9:.1f} s ago; is clock="
                f"'{self._config.clock}' what its sender uses?"
            )
        time_ns = min(time_ns, arrival_ns)  # nothing is taken after it came
        if time_ns <= self._last_ns:
            raise _BadLine("its time is not later than the reading's before")
        return time_ns

    def close(self) -> None:
        """Close it; see `Source`."""
        self._lines.close()


def _parse(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise _BadLine("not JSON") from None
    if not isinstance(row, dict):
        raise _BadLine('not an object such as {"t": 1.5, "v": [1, 2]}')
    return row


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _stamp_ns(row: dict[str, Any]) -> int | None:
    """Give the time that a line tells, on its sender's clock."""
    seconds, nanoseconds = row.get("t"), row.get("t_ns")
    if nanoseconds is not None:
        if not isinstance(nanoseconds, int) or isinstance(nanoseconds, bool):
            raise _BadLine("'t_ns' must be a whole number of nanoseconds")
        return nanoseconds
    if seconds is None:
        return None
    if not _is_number(seconds) or abs(seconds) > _MAX_S:
        raise _BadLine("'t' must be a finite number of seconds")
    return int(seconds * _NS_PER_S)
