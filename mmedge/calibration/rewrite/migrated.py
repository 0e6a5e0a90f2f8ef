"""What is handed from one rewrite of float32 graphs to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mmedge.calibration.channels import Channels

__all__ = ["Migrated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """A graph of the same answers that is easier to round.

    Attributes:
        model: the ONNX file. Layers keep their names.
        channels: what is known of the values that were changed, by the names that layers take
            them under now.
    """

    model: bytes
    channels: Mapping[str, Channels]
