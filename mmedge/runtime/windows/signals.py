"""The windows of a recorded signal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from mmedge.errors import SourceError
from mmedge.runtime.clips import SignalFile, read_signal
from mmedge.runtime.windows.cut import NS_PER_S
from mmedge.specs import Signal

__all__ = ["SignalTrack", "to_grid"]


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
        self._values = to_grid(read_signal(path), spec, f"modality '{name}': '{path}'")
        if len(self._values) < spec.samples:
            raise SourceError(
                f"modality '{name}': '{path}' has {len(self._values)} samples at "
                f"{spec.rate_hz} Hz, but a window needs {spec.samples} ({spec.window_ms} ms)"
            )

    def advance(self, end_ns: int) -> bool:
        """Tell whether the signal reaches ``end_ns``."""
        return end_ns * self._spec.rate_hz <= len(self._values) * NS_PER_S

    def window(self, end_ns: int) -> npt.NDArray[np.float32] | None:
        """Give float32 ``[samples, channels]``, or ``None`` beyond the signal's end."""
        end = end_ns * self._spec.rate_hz // NS_PER_S
        begin = end - self._spec.samples
        if begin < 0 or end > len(self._values):
            return None
        return self._values[begin:end]

    def close(self) -> None:
        """Nothing is held open."""


def to_grid(signal: SignalFile, spec: Signal, what: str) -> npt.NDArray[np.float32]:
    """Bring a signal to the encoder's rate: linear between neighbouring samples.

    Values without times are taken to have the encoder's rate already.

    Raises:
        SourceError: another number of channels, or values that are not finite.
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
        return values.astype(np.float32)
    count = int(signal.times_ns[-1]) * spec.rate_hz // NS_PER_S + 1
    grid_ns = np.arange(count) * (NS_PER_S / spec.rate_hz)
    columns = [np.interp(grid_ns, signal.times_ns, column) for column in values.T]
    return np.stack(columns, axis=1).astype(np.float32)
