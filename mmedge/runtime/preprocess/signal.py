"""Numeric signals: checked, and nothing else; their normalisation is in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mmedge.errors import ConfigError
from mmedge.specs import Signal

__all__ = ["SignalPreprocessor"]


class SignalPreprocessor:
    """Prepares windows of one signal modality.

    Args:
        name: the modality's name, for messages.
        spec: channels, rate and length that the encoder was trained on.
    """

    def __init__(self, name: str, spec: Signal) -> None:
        self._name = name
        self._spec = spec

    def __call__(self, raw: Any) -> dict[str, npt.NDArray[np.float32]]:
        """Prepare one window.

        Args:
            raw: float32 or float64 ``[samples, channels]``; ``[samples]`` for one channel.

        Returns:
            ``values``: float32 ``[samples, channels]``, a copy.

        Raises:
            ConfigError: another dtype or shape, or a value that is not finite. Unlike
                silence, a gap in a signal has no neutral value, so nothing is filled up.
        """
        spec, what = self._spec, f"modality '{self._name}'"
        if not isinstance(raw, np.ndarray) or raw.dtype.kind != "f":
            came = raw.dtype.name if isinstance(raw, np.ndarray) else type(raw).__name__
            raise ConfigError(f"{what} takes an array of float32, but got {came}; convert it")
        values = raw[:, None] if raw.ndim == 1 else raw
        if values.shape != (spec.samples, spec.channels):
            raise ConfigError(
                f"{what} takes [{spec.samples}, {spec.channels}] ({spec.window_ms} ms at "
                f"{spec.rate_hz} Hz, {spec.channels} channels), but got {list(raw.shape)}"
            )
        if not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).sum())
            raise ConfigError(
                f"{what}: {bad} of {values.size} values are NaN or infinite; repair the signal, "
                "or leave the modality out"
            )
        return {"values": values.astype(np.float32)}
