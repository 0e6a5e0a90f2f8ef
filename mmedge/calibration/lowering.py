"""What is asked of a rewrite, and what it says it has done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmedge.manifest import Kept

__all__ = ["Lowered", "Lowering", "Range"]


@dataclass(frozen=True, slots=True)
class Range:
    """Where the values of a tensor lie, as far as they count; ``low <= 0 <= high``.

    Attributes:
        low: the least of them.
        high: the largest.
        least: the smallest magnitude above 0 among them; 0 where nobody looked.
    """

    low: float
    high: float
    least: float = 0.0

    @property
    def largest(self) -> float:
        """The threshold of a symmetric scale."""
        return max(-self.low, self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowering:
    """How one graph is to be lowered.

    Attributes:
        int8: names of the layers that are to compute in INT8.
        ranges: value -> what its scale is made from, for all that INT8 layers take or give.
        seen: value -> the finite extremes ever seen, by which FP16 is allowed or refused.
        means: value -> mean of each of its channels, float32 ``[C]``; where a layer's is known,
            its bias takes off again what rounding its weight adds on average.
        weights: how thresholds of weights are chosen, per output channel.
        rest: precision of everything else behind the front-end.
        instructions: what a CPU plan may rest on, such as ``vnni``; without them it is to be
            right on every CPU.
    """

    int8: frozenset[str]
    ranges: Mapping[str, Range]
    seen: Mapping[str, Range] = field(default_factory=dict)
    means: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    weights: Literal["min-max", "mse"] = "mse"
    rest: Literal["fp32", "fp16"] = "fp32"
    instructions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowered:
    """A graph in a lower precision.

    Attributes:
        model: the ONNX file.
        int8: names of the layers that compute in INT8; a subset of what was asked.
        kept: what could not be lowered as asked, and why.
        instructions: what a CPU must have to compute this graph right.
    """

    model: bytes
    int8: tuple[str, ...]
    kept: tuple[Kept, ...] = ()
    instructions: tuple[str, ...] = ()
