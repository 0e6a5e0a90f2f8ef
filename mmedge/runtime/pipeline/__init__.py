"""The live pipeline: samples in, time-aligned predictions out."""

from __future__ import annotations

from mmedge.runtime.pipeline.status import Status
from mmedge.runtime.pipeline.tick import Event, Tick

__all__ = ["Event", "Status", "Tick"]
