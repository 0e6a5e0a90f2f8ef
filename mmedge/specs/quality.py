"""From when on an input counts as spoiled, and what then becomes of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mmedge.specs.base import Spec

__all__ = ["ImageQuality", "SoundQuality"]

Policy = Literal["warn", "absent"]


class ImageQuality(Spec):
    """When a live picture is spoiled.

    Attributes:
        policy: ``warn`` says so with the prediction; ``absent`` leaves the modality out.
        dark: mean grey value (0..255) below which nothing can be seen.
        covered: standard deviation of the grey values below which something lies over the
            lens (or the picture is all one colour).
        frozen_ms: pictures that have not changed in a single pixel for so long are the same.
    """

    policy: Policy = "warn"
    dark: Annotated[float, Field(ge=0, le=255)] = 8.0
    covered: Annotated[float, Field(ge=0, le=255)] = 2.0
    frozen_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 2000


class SoundQuality(Spec):
    """When live sound is spoiled.

    Attributes:
        policy: ``warn`` says so with the prediction; ``absent`` leaves the modality out.
        silent_dbfs: root mean square, in dB of full scale, below which it is silent.
        clipped: share of the samples at full scale from which it is clipped.
        rate_ppm: deviation of the measured from the promised sample rate from which the
            rate is wrong. Frames have to come evenly to be measured, else they are lost; a
            microphone that is off by less than 1600 is not told from a lossy one.
    """

    policy: Policy = "warn"
    silent_dbfs: Annotated[float, Field(ge=-200, le=0)] = -70.0
    clipped: Annotated[float, Field(gt=0, le=1)] = 0.01
    rate_ppm: Annotated[float, Field(gt=0)] = 2000.0
