"""What all modalities have that are cut into windows of a fixed length."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field, model_validator
from typing_extensions import Self

from mmedge.specs.base import Spec

__all__ = ["Windowed"]


class Windowed(Spec):
    """Samples at a fixed rate, in windows that overlap by a fixed hop.

    Attributes:
        rate_hz: samples per second.
        window_ms: length of one window.
        hop_ms: time from one window to the next.
    """

    rate_hz: Annotated[int, Field(ge=1, le=1_000_000)]
    window_ms: Annotated[int, Field(ge=1, le=3_600_000)]
    hop_ms: Annotated[int, Field(ge=1, le=3_600_000)]

    @property
    def samples(self) -> int:
        """Samples per window (and channel)."""
        return self.rate_hz * self.window_ms // 1000

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        for field in ("window_ms", "hop_ms"):
            if self.rate_hz * getattr(self, field) % 1000:
                step_ms = 1000 // math.gcd(self.rate_hz, 1000)
                raise ValueError(
                    f"{field}={getattr(self, field)} at rate_hz={self.rate_hz} is not a whole "
                    f"number of samples; give a multiple of {step_ms}"
                )
        if self.hop_ms > self.window_ms:
            raise ValueError(
                f"hop_ms={self.hop_ms} must lie in 1..{self.window_ms} (window_ms): a longer "
                "hop would skip samples"
            )
        return self
