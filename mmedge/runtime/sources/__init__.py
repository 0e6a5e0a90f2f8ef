"""Sources: cameras, microphones, streams, files, texts and signals, live. One file each.

A source is opened, read and closed on one thread of the pipeline's, which watches it by
its progress and opens it again when it is gone (`mmedge.runtime.pipeline.supervisor`). So a
source retries nothing itself: it gives what comes, stamped with the time of its capture,
or says what is wrong.
"""

from __future__ import annotations

from mmedge.runtime.samples import Block, Frame, Line, Reading, Sample, SampleKind
from mmedge.runtime.sources.source import Ended, Source

__all__ = ["Block", "Ended", "Frame", "Line", "Reading", "Sample", "SampleKind", "Source"]
