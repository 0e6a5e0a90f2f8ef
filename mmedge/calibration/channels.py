"""What is known of the channels of activations, each alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmedge.calibration.watching import Watched
from mmedge.runtime.backends import Arrays

__all__ = ["ChannelObserver", "Channels"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """The channels of one value; float32 ``[C]`` each, finite numbers only.

    Attributes:
        low: the least of each channel.
        high: the largest.
        mean: the mean.
        rows: how many numbers of each were seen, finite or not.
    """

    low: Floats
    high: Floats
    mean: Floats
    rows: int

    def moved(self, offset: Floats, factors: Floats | float = 1.0) -> Channels:
        """Give the channels of ``(x - offset) / factors``."""
        low, high, mean = (
            np.asarray((each - offset) / factors, np.float32)
            for each in (self.low, self.high, self.mean)
        )
        return Channels(low=low, high=high, mean=mean, rows=self.rows)

    @property
    def largest(self) -> float:
        """The threshold of a symmetric scale for all channels."""
        return float(max(-self.low.min(), self.high.max(), 0.0))


class ChannelObserver:
    """Watches channels while a graph runs; its memory does not grow with the samples.

    Args:
        model: an ONNX file.
        axes: value -> its channel axis.
        threads: CPU threads inside one operator.
    """

    def __init__(
        self, model: bytes, axes: Mapping[str, int], *, threads: int | None = None
    ) -> None:
        self._watched = Watched(model, axes, threads=threads)
        self._axes = dict(axes)
        self._sums: dict[str, _Sums] = {}

    def add(self, feeds: Arrays) -> None:
        """Run the graph on some samples, ``[B, ...]`` each, and count what is seen."""
        for name, array in self._watched.run(feeds):
            rows = np.moveaxis(array, self._axes[name], -1).reshape(
                -1, array.shape[self._axes[name]]
            )
            seen = _sums(rows)
            self._sums[name] = self._sums[name].merged(seen) if name in self._sums else seen

    @property
    def channels(self) -> dict[str, Channels]:
        """What was seen, by value; without those that nothing was seen of."""
        return {name: each.channels() for name, each in self._sums.items()}


@dataclass(frozen=True, slots=True)
class _Sums:
    low: Floats
    high: Floats
    total: NDArray[np.float64]
    count: NDArray[np.int64]
    rows: int

    def merged(self, other: _Sums) -> _Sums:
        return _Sums(
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.total + other.total,
            self.count + other.count,
            self.rows + other.rows,
        )

    def channels(self) -> Channels:
        empty = self.count == 0
        return Channels(
            low=np.where(empty, np.float32(0), self.low),
            high=np.where(empty, np.float32(0), self.high),
            mean=(self.total / np.maximum(self.count, 1)).astype(np.float32),
            rows=self.rows,
        )


def _sums(rows: Floats) -> _Sums:
    """Look at ``[N, C]``; masks and other non-finite numbers are passed over."""
    finite = np.isfinite(rows)
    return _Sums(
        np.where(finite, rows, np.float32(np.inf)).min(axis=0),
        np.where(finite, rows, np.float32(-np.inf)).max(axis=0),
        np.where(finite, rows, 0).sum(axis=0, dtype=np.float64),
        finite.sum(axis=0),
        len(rows),
    )
