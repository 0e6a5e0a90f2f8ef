"""What FP16 can hold: numbers, ranges, constants. Facts about the format, no graphs.

IEEE 754 binary16 ends at 65,504. Below 2^-14 it loses a bit of precision per halving, and
what lies below 2^-25 becomes 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge.calibration.lowering import Range

__all__ = [
    "LARGEST",
    "MASKED",
    "NORMAL",
    "ROOM",
    "fault_of",
    "halve",
    "lost_channels",
    "scales_fit",
]

LARGEST = 65504.0
NORMAL = 2.0**-14
"""The smallest magnitude that FP16 holds in full precision."""
ROOM = LARGEST / 4
"""How far values may have gone where they were observed: other samples will go further."""
MASKED = -49152.0
"""What stands in an FP16 mask for float32's minimum.

It is 1.5 * 2^15, where FP16's numbers are 32 apart and this one is even. Added to a score
within `ROOM` it never overflows and stays so far below every score that the softmax is 0 in
any precision; added to one within 16 it stays what it is, so that a row in which everything
is masked is still uniform.
"""


def fault_of(seen: Range) -> str:
    """Say why FP16 cannot hold these values; empty if it can."""
    if seen.largest > ROOM:
        return f"FP16 ends at {LARGEST:,.0f}"
    if 0 < seen.largest < NORMAL:
        return f"FP16 loses precision below {NORMAL:.1e}"
    return ""


def halve(values: NDArray[Any]) -> NDArray[np.float16]:
    """Round to FP16; what is finite stays finite."""
    finite = np.isfinite(values)
    return np.where(finite, np.clip(values, -LARGEST, LARGEST), values).astype(np.float16)


def scales_fit(scales: NDArray[Any]) -> bool:
    """Whether FP16 holds every scale of a Q or DQ node, in full precision or exactly."""
    held = (scales >= NORMAL) | (halve(scales) == scales)
    return bool(np.all((scales > 0) & (scales <= LARGEST) & held))


def lost_channels(
    weight: NDArray[Any], bias: NDArray[Any] | None, axis: int, largest: float
) -> int:
    """Count the output channels whose weights FP16 rounds by more than 1 %, and it matters.

    Trained networks hold channels that died: next to no weights beside a bias. What rounding
    changes there is less than FP16's step at the bias, or below `NORMAL`.

    Args:
        weight: of a convolution or a matrix product.
        bias: what is added, one for each output channel, if there is any.
        axis: where the output channels are.
        largest: magnitude of what is multiplied by it.
    """
    rows = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1).astype(np.float64)
    error = np.abs(rows - halve(rows).astype(np.float64))
    lost = np.linalg.norm(error, axis=1) > 0.01 * np.linalg.norm(rows, axis=1)
    reaches = np.abs(rows).sum(axis=1) * largest > NORMAL
    step = 0.0 if bias is None else np.abs(bias.astype(np.float64).ravel()) * 2.0**-11
    return int(np.sum(lost & reaches & (error.sum(axis=1) * largest > step)))
