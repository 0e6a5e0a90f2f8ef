"""Recordings: what came, when it was captured, and what each prediction was made of.

A recording is a folder; ``docs/recordings.md`` describes its files. Calibration,
evaluation and replay read it.
"""

from __future__ import annotations

from mmedge.runtime.recording.layout import Header, Track, parse_header
from mmedge.runtime.recording.reader import Recording, open_recording

__all__ = ["Header", "Recording", "Track", "open_recording", "parse_header"]
