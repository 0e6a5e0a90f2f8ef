"""How a recipe is exported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmedge.errors import ConfigError

__all__ = ["ExportConfig"]


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """How a recipe is exported.

    Attributes:
        out: the bundle's folder, ``NAME.mmedge``.
        weights: ``PATH`` of the whole model's weights, or ``NAME=PATH`` for one encoder's
            or the fusion head's.
        clips: JSON lines of real samples for the proof; without it, seeded noise.
        golden: what travels with the bundle: ``seeded`` noise, or the user's ``clips``.
        samples: golden samples in the bundle.
        replace: replace an existing bundle.
        seed: of the seeded inputs.
        only: the one encoder (by modality) or ``fusion`` to replace in the existing bundle;
            its other graphs stay as they are, to the byte.
    """

    out: Path
    weights: tuple[str, ...] = ()
    clips: Path | None = None
    golden: Literal["seeded", "clips"] = "seeded"
    samples: int = 4
    replace: bool = False
    seed: int = 0
    only: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= 1024:
            raise ConfigError(f"samples={self.samples} must lie in 1..1024")
        if self.golden not in ("seeded", "clips"):
            raise ConfigError(f"golden={self.golden!r} is neither 'seeded' nor 'clips'")
        if self.golden == "clips" and self.clips is None:
            raise ConfigError("golden clips were asked for, but no clips are given; add --clips")
