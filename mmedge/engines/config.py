"""How engines are built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmedge.engines.profiles import MAX_BATCH
from mmedge.errors import ConfigError
from mmedge.manifest import FUSION

__all__ = ["AHEAD_OF_TIME", "BuildConfig"]

AHEAD_OF_TIME = ("sm75", "sm80", "sm86", "sm89", "sm120", "sm121")
"""Desktop GPUs that TensorRT-RTX compiles for on a machine without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildConfig:
    """How the engines of a bundle are built.

    Attributes:
        plan: name of one of the bundle's plans; ``auto`` takes the lowest precision among those
            for TensorRT, else ``fp32``.
        max_batch: rows that one run of an engine takes, at most.
        workspace_bytes: memory that one layer may use for scratch, at most; ``None`` for a
            quarter of the GPU's, or of the board's on a Jetson.
        dla_core: which deep learning accelerator of a Jetson takes the encoders' layers. It
            takes one row at a time. What it cannot run stays on the GPU and is named.
        rtx: build with TensorRT-RTX for this machine's desktop GPU, for the backend
            ``tensorrt-rtx``; otherwise with TensorRT, unless TensorRT-RTX alone is installed.
        ahead_of_time: desktop GPU, such as ``sm86``, to compile for with TensorRT-RTX on a
            machine that need not have one; ``None`` for this machine's own.
        out: folder for engines that are compiled ahead of time.
    """

    plan: str = "auto"
    max_batch: int = MAX_BATCH
    workspace_bytes: int | None = None
    dla_core: int | None = None
    rtx: bool = False
    ahead_of_time: str | None = None
    out: Path | None = None

    def __post_init__(self) -> None:
        if self.max_batch < 1:
            raise ConfigError(f"max_batch={self.max_batch} must be at least 1")
        if self.workspace_bytes is not None and self.workspace_bytes < 2**20:
            raise ConfigError(f"workspace_bytes={self.workspace_bytes} must be at least 1 MiB")
        if self.dla_core is not None and self.dla_core < 0:
            raise ConfigError(f"dla_core={self.dla_core} must be 0 or more")
        if self.dla_core is not None and self.max_batch != 1:
            raise ConfigError("a DLA takes shapes that are fixed: give max_batch=1 with dla_core")
        if self.dla_core is not None and self.rtx:
            raise ConfigError("TensorRT-RTX is for desktop GPUs, which have no DLA: leave out rtx")
        self._check_ahead_of_time()

    def _check_ahead_of_time(self) -> None:
        if self.ahead_of_time is None:
            if self.out is not None:
                raise ConfigError(
                    f"out={str(self.out)!r} is for engines that are compiled ahead of time: name "
                    "the GPU. Engines for this machine are kept in its cache."
                )
            return
        if self.ahead_of_time not in AHEAD_OF_TIME:
            raise ConfigError(
                f"ahead_of_time={self.ahead_of_time!r} is none of {', '.join(AHEAD_OF_TIME)}: "
                "TensorRT-RTX compiles for desktop GPUs only. A Jetson builds its own engines, "
                "with 'mmedge build' on it."
            )
        if self.out is None:
            raise ConfigError("engines that are compiled ahead of time need a folder: give out")
        if self.dla_core is not None:
            raise ConfigError(f"{self.ahead_of_time} is a desktop GPU, and has no DLA")

    def dla_for(self, graph: str) -> int | None:
        """Give the DLA that takes a graph's layers; the fusion head stays on the GPU."""
        return None if graph == FUSION else self.dla_core

    def flags(self, graph: str) -> dict[str, int | None]:
        """Give what a graph's engine depends on beside its file, profile, TensorRT and GPU."""
        return {"workspace_bytes": self.workspace_bytes, "dla_core": self.dla_for(graph)}
