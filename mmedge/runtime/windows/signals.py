"""The windows of a recorded signal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from mmedge.errors import ResourceError, SourceError
from mmedge.runtime.clips import SignalFile, read_signal
from mmedge.runtime.windows.cut import MAX_GAP, NS_PER_S
from mmedge.specs import Signal

__all__ = ["SignalTrack", "to_grid"]

MAX_DENSER = 1.5
"""How many times the encoder's rate a recording may have: beyond, high tones fold down."""
MAX_VALUES = 64 * 2**20


class SignalTrack:
    """A signal on the encoder's grid, in windows.

    Args:
        name: the modality's name, for messages.
        spec: the modality.
        path: CSV or NPY.

    Raises:
        SourceError: it cannot be read, has other channels, or is shorter than a window.
    """

    def __init__(self, name: str, spec: Signal, path: Path) -> None:
        self._spec = spec
        self._values, self._known = to_grid(read_signal(path), spec, f"modality '{name}': '{path}'")
        if len(self._values) < spec.samples:
            raise SourceError(
                f"modality '{name}': '{path}' has {len(self._values)} samples at "
                f"{spec.rate_hz} Hz, but a window needs {spec.samples} ({spec.window_ms} ms)"
            )

    def advance(self, end_ns: int) -> bool:
        """Tell whether the signal reaches ``end_ns``."""
        return end_ns * self._spec.rate_hz <= len(self._values) * NS_PER_S

    def window(self, end_ns: int) -> npt.NDArray[np.float32] | None:
        """Give float32 ``[samples, channels]``; ``None`` beyond the end, or with a gap in it."""
        end = end_ns * self._spec.rate_hz // NS_PER_S
        begin = end - self._spec.samples
        if begin < 0 or end > len(self._values) or not self._known[begin:end].all():
            return None
        return self._values[begin:end]

    def whole(self) -> bool:
        """A window with a gap in it is not given at all."""
        return True

    def close(self) -> None:
        """Nothing is held open."""


def to_grid(
    signal: SignalFile, spec: Signal, what: str
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Bring a signal to the encoder's rate: linear between neighbouring samples.

    Values without times are taken to have the encoder's rate already. Unlike silence, a
    gap has no neutral value: where samples lie further apart than ``MAX_GAP`` periods of
    the encoder's rate, nothing is made up.

    Returns:
        float32 ``[N, C]``, and bool ``[N]``: whether it was recorded there.

    Raises:
        SourceError: another number of channels, values that are not finite, or a rate well
            above the encoder's, which only a filter could bring down.
        ResourceError: too many samples.
    """
    values = signal.values
    if values.shape[1] != spec.channels:
        raise SourceError(f"{what} has {values.shape[1]} channels, not {spec.channels}")
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise SourceError(
            f"{what}: sample {int(bad.argmax()) + 1} is NaN or infinite ({int(bad.sum())} in all); "
            "repair the recording, or cut it there"
        )
    if signal.times_ns is None:
        return values.astype(np.float32), np.ones(len(values), dtype=bool)
    return _interpolate(values, signal.times_ns, spec, what)


def _interpolate(
    values: npt.NDArray[np.float64], times_ns: npt.NDArray[np.int64], spec: Signal, what: str
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    period_ns = NS_PER_S / spec.rate_hz
    steps_ns = np.diff(times_ns)
    if len(steps_ns) and np.median(steps_ns) * MAX_DENSER < period_ns:
        raise SourceError(
            f"{what} was taken at about {NS_PER_S / np.median(steps_ns):.0f} Hz, the encoder at "
            f"{spec.rate_hz} Hz: bring it down first, by the filter that the training used"
        )
    count = int(times_ns[-1]) * spec.rate_hz // NS_PER_S + 1
    if count * spec.channels > MAX_VALUES:
        raise ResourceError(f"{what} has {count} samples at {spec.rate_hz} Hz; cut it into parts")
    grid_ns = np.arange(count) * period_ns
    columns = [np.interp(grid_ns, times_ns, column) for column in values.T]
    after = np.clip(np.searchsorted(times_ns, grid_ns), 1, max(len(steps_ns), 1))
    apart_ns = steps_ns[after - 1] if len(steps_ns) else np.zeros(count)
    exact = np.isin(grid_ns, times_ns)
    known = exact | (apart_ns <= MAX_GAP * period_ns)
    return np.stack(columns, axis=1).astype(np.float32), known
