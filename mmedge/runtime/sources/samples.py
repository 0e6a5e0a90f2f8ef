"""What sources give; the types stand in `mmedge.runtime.samples`, for offline stages too."""

from __future__ import annotations

from mmedge.runtime.samples import Block, Frame, Line, Reading, Sample, SampleKind

__all__ = ["Block", "Frame", "Line", "Reading", "Sample", "SampleKind"]
