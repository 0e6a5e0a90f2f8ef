"""What sources give: pictures, blocks of sound, lines of text, readings of a sensor.

Every sample carries the time of its capture on the pipeline's one clock, which is
``time.monotonic_ns()``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Block", "Frame", "Line", "Reading", "Sample", "SampleKind"]

SampleKind = Literal["image", "sound", "text", "signal"]
"""The kinds of modalities, as their specifications name them."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture.

    Attributes:
        time_ns: when it was captured.
        pixels: uint8 ``[h, w, 3]``, contiguous; nobody writes to it any more.
        order: of the channels. OpenCV gives ``bgr``; the order is changed after the
            picture has been made small.
    """

    kind: ClassVar[SampleKind] = "image"
    time_ns: int
    pixels: npt.NDArray[np.uint8]
    order: Literal["rgb", "bgr"] = "rgb"


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Consecutive samples of sound, as the device gave them: before any resampling.

    Attributes:
        time_ns: when the first sample was captured, as far as it is known now.
        samples: int16 ``[n, channels]``.
        rate_hz: samples per second that the device promised.
        run: number of the unbroken run of samples that it belongs to. A new one begins
            where the device was opened again, or where samples were lost.
        index: position of the first sample within the run.
        anchors: where the clock was read: positions within the run and their capture times.
            By default the first sample's; a recording gives those that fall into the block,
            which may be none, so that its blocks may be cut anyhow.
        drift_ppm: how much faster than promised the device's clock runs against the
            host's; NaN while that is not known.
    """

    kind: ClassVar[SampleKind] = "sound"
    time_ns: int
    samples: npt.NDArray[np.int16]
    rate_hz: int
    run: int
    index: int
    drift_ppm: float = float("nan")
    anchors: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A text that holds from now on; an empty one says that none holds any more."""

    kind: ClassVar[SampleKind] = "text"
    time_ns: int
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One sample of a numeric signal.

    Attributes:
        time_ns: when it was taken.
        values: float64 ``[channels]``, in the sensor's own unit.
    """

    kind: ClassVar[SampleKind] = "signal"
    time_ns: int
    values: npt.NDArray[np.float64]


Sample = Frame | Block | Line | Reading
