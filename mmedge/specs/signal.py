"""What an encoder of a numeric signal sees."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from mmedge.specs.base import Floats
from mmedge.specs.windowed import Windowed

__all__ = ["Signal"]


class Signal(Windowed):
    """A window of numbers sampled at a fixed rate: an accelerometer, a current, a radar.

    The graph's input is float32 ``values`` ``[B, samples, channels]``, in the sensor's own
    unit; the front-end computes ``(x - mean) / std`` per channel.

    Attributes:
        channels: numbers per sample.
        rate_hz: samples per second.
        window_ms: length of one window.
        hop_ms: time from one window to the next.
        mean: per channel, or one for all.
        std: per channel, or one for all.
    """

    kind: Literal["signal"] = "signal"
    channels: Annotated[int, Field(ge=1, le=4096)]
    mean: Floats = (0.0,)
    std: Floats = (1.0,)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for field in ("mean", "std"):
            if len(getattr(self, field)) not in (1, self.channels):
                raise ValueError(f"{field} has {len(getattr(self, field))} values; give 1 or all")
        if min(self.std) <= 0:
            raise ValueError(f"std={self.std} must be positive: it divides")
        return self
