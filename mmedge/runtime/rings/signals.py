"""Readings of a sensor, in windows on the encoder's grid."""

from __future__ import annotations

from collections import deque

import numpy as np

from mmedge.errors import ConfigError
from mmedge.runtime.rings.ring import Ring, Window
from mmedge.runtime.samples import Reading
from mmedge.runtime.windows.cut import MAX_GAP, NS_PER_MS, NS_PER_S
from mmedge.specs import Signal

__all__ = ["SignalRing"]

_MAX_DENSER = 64
"""Readings kept for one sample of the grid, at most."""
_MAX_BEHIND = 8
"""Windows that one who wants every one may lie behind before some are dropped."""


class SignalRing(Ring):
    """Readings of one sensor.

    Between two readings the value lies on a straight line; where they are further apart than
    ``MAX_GAP`` periods of the encoder's rate there is no value, and no window.

    Args:
        name: the modality's name.
        spec: rate, channels, window and hop.
        every: give every window, one after the other, not the newest.
    """

    def __init__(self, name: str, spec: Signal, *, every: bool = False) -> None:
        super().__init__(name)
        self._spec = spec
        self._every = every
        self._hop_ns = spec.hop_ms * NS_PER_MS
        self._length_ns = spec.window_ms * NS_PER_MS
        behind = _MAX_BEHIND if every else 1
        self._kept_ns = self._length_ns + behind * self._hop_ns + MAX_GAP * self._period_ns
        most = int(self._kept_ns / self._period_ns) * _MAX_DENSER
        self._readings: deque[Reading] = deque(maxlen=most)
        self._taken_ns: int | None = None

    @property
    def _period_ns(self) -> float:
        return NS_PER_S / self._spec.rate_hz

    def cut(self, place: tuple[int, ...]) -> Window | None:
        """Cut the window that ends at ``place[0]``."""
        with self._lock:
            return self._cut(place[0], 0)

    def check(self, sample: Reading) -> None:
        """Refuse a reading of another sensor, or none."""
        if sample.values.shape != (self._spec.channels,):
            raise ConfigError(
                f"modality '{self.name}' takes {self._spec.channels} numbers per reading, but "
                f"{list(sample.values.shape)} came; check which sensor feeds it"
            )
        if not np.isfinite(sample.values).all():
            raise ConfigError(f"modality '{self.name}': a reading holds a NaN or an infinity")

    def _prepare(self, sample: Reading) -> Reading:
        self.check(sample)
        return sample

    def _keep(self, sample: Reading) -> bool:
        self._readings.append(sample)
        oldest_ns = sample.time_ns - self._kept_ns
        while len(self._readings) > 2 and self._readings[1].time_ns < oldest_ns:
            self._readings.popleft()
        return self._taken_ns is None or self._newest_end_ns() > self._taken_ns

    def _newest_end_ns(self) -> int:
        # The last sample of a window lies one period before its end.
        reached_ns = self._readings[-1].time_ns + int(self._period_ns)
        return reached_ns // self._hop_ns * self._hop_ns

    def _next(self) -> Window | None:
        if len(self._readings) < 2:
            return None
        end_ns = newest_ns = self._newest_end_ns()
        if self._every and self._taken_ns is not None:
            following_ns = self._taken_ns + self._hop_ns
            if following_ns >= self._readings[0].time_ns + self._length_ns:
                end_ns = following_ns
        if end_ns > newest_ns or end_ns == self._taken_ns:
            return None
        skipped = 0 if self._taken_ns is None else (end_ns - self._taken_ns) // self._hop_ns - 1
        window = self._cut(end_ns, skipped)
        if window is None:
            self._reset = self._reset or "there was a gap"
        elif skipped:
            self._reset = self._reset or f"{skipped} windows were dropped"
        self._taken_ns = end_ns
        return window

    def _cut(self, end_ns: int, skipped: int) -> Window | None:
        spec, begin_ns = self._spec, end_ns - self._length_ns
        times = np.array([reading.time_ns for reading in self._readings], np.int64)
        # Relative to the window: float64 cannot hold nanoseconds of a long uptime exactly.
        grid = np.arange(spec.samples) * self._period_ns
        known = (times - begin_ns).astype(np.float64)
        if len(known) < 2 or known[0] > grid[0] or known[-1] < grid[-1]:
            return None
        after = np.clip(np.searchsorted(known, grid), 1, len(known) - 1)
        apart_ns = np.diff(known)[after - 1]
        if (~np.isin(grid, known) & (apart_ns > MAX_GAP * self._period_ns)).any():
            return None
        first, last = max(int(after[0]) - 1, 0), int(after[-1]) + 1
        values = np.stack([self._readings[index].values for index in range(first, last)])
        columns = [np.interp(grid, known[first:last], column) for column in values.T]
        return Window(
            raw=np.stack(columns, axis=1).astype(np.float32),
            begin_ns=begin_ns,
            end_ns=end_ns,
            place=(end_ns,),
            skipped=max(skipped, 0),
        )

    def _clear(self) -> None:
        self._readings.clear()
        self._taken_ns = None
