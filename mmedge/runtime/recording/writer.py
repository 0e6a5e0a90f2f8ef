"""Writes the tracks of a recording: pictures by FFV1, sound by FLAC, times beside them.

What is on the disk when the power fails can be read; every second of media is handed to the
operating system as soon as it is whole, everything else at once.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mmedge._closing import Closing
from mmedge._optional import require
from mmedge.runtime.recording.layout import LOG, MAX_CHANNELS, MAX_PARTS, TIMES, Part, Track
from mmedge.runtime.samples import Block, Frame, Line, Reading

__all__ = ["LinesWriter", "LogWriter", "PicturesWriter", "SoundWriter", "TrackWriter", "Writer"]

_MS = Fraction(1, 1000)
_CLUSTER_MS = 1000
_SLICED = 16
"""Rows and columns of a picture that FFV1 can cut into slices."""


class Writer(Closing):
    """Writes one thing after the other."""

    @abstractmethod
    def write(self, sample: Any) -> bool:
        """Take the next sample, or line.

        Returns:
            Whether the recording's header has to tell something new: that a part has begun.

        Raises:
            OSError: the disk is full, or gone.
        """


class LogWriter(Writer):
    """The log: a line per encoding and prediction."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / LOG).open("w", encoding="utf-8")

    def write(self, sample: dict[str, Any]) -> bool:
        """Take the next line."""
        self._file.write(json.dumps(sample) + "\n")
        self._file.flush()
        return False

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TrackWriter(Writer):
    """Writes what was recorded of one modality."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self.samples = 0

    @abstractmethod
    def track(self, lost: int) -> Track:
        """Describe what was written so far."""


class _MediaWriter(TrackWriter):
    """One part after the other; a new one begins where the format changes."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, name)
        self._av: Any = require("av", extra="live", why="recording")
        self._parts: list[Part] = []
        self._container: Any = None
        self._stream: Any = None
        self._times: Any = None
        self._begun_ns = 0
        self._pts = -1

    def close(self) -> None:
        """End the part that is being written."""
        if self._container is None:
            return
        container, self._container = self._container, None
        try:
            container.mux(self._stream.encode(None))
        finally:
            self._times.close()
            container.close()

    def _begin(self, time_ns: int) -> tuple[str, str]:
        self.close()
        if len(self._parts) == MAX_PARTS:
            raise OSError(f"its size or rate has changed {MAX_PARTS} times")
        stem = f"{self._name}-{len(self._parts)}"
        self._container = self._av.open(
            str(self._folder / f"{stem}.mkv"),
            "w",
            format="matroska",
            options={"cluster_time_limit": str(_CLUSTER_MS), "flush_packets": "1"},
        )
        self._times = (self._folder / f"{stem}.times").open("wb")
        self._begun_ns, self._pts = time_ns, -1
        return f"{stem}.mkv", f"{stem}.times"

    def _put(self, frame: Any, row: tuple[int, ...]) -> None:
        self._container.mux(self._stream.encode(frame))
        self._times.write(np.array(row, TIMES).tobytes())
        self._times.flush()
        self.samples += 1


class PicturesWriter(_MediaWriter):
    """Pictures, to the bit by FFV1; or by MJPEG, which takes a tenth and changes them."""

    def __init__(self, folder: Path, name: str, *, lossless: bool = True) -> None:
        super().__init__(folder, name)
        self._lossless = lossless

    def write(self, sample: Frame) -> bool:
        """Take the next picture."""
        height, width = sample.pixels.shape[:2]
        part = self._parts[-1] if self._parts else None
        new = part is None or (part.height, part.width, part.order) != (height, width, sample.order)
        if new:
            self._open(sample, height, width)
        frame = self._av.VideoFrame.from_ndarray(sample.pixels, format=f"{sample.order}24")
        self._pts = max(self._pts + 1, (sample.time_ns - self._begun_ns) // 1_000_000)
        frame.pts, frame.time_base = self._pts, _MS
        self._put(frame, (sample.time_ns,))
        return new

    def track(self, lost: int) -> Track:
        """Describe what was written so far."""
        return Track(kind="image", parts=tuple(self._parts), samples=self.samples, lost=lost)

    def _open(self, sample: Frame, height: int, width: int) -> None:
        media, times = self._begin(sample.time_ns)
        codec = "ffv1" if self._lossless else "mjpeg"
        self._stream = self._container.add_stream(codec, rate=30)
        self._stream.width, self._stream.height = width, height
        # FFV1 keeps RGB in a lossless transform of its own; bgr0 is what swscale makes of
        # either order without touching a value.
        self._stream.pix_fmt = "bgr0" if self._lossless else "yuvj444p"
        self._stream.codec_context.time_base = _MS
        if self._lossless:
            slices = "4" if min(height, width) >= _SLICED else "1"
            self._stream.options = {"level": "3", "slices": slices, "slicecrc": "1"}
        else:
            self._stream.options = {"qmin": "3", "qmax": "3"}
        self._parts.append(
            Part(media=media, times=times, order=sample.order, height=height, width=width)
        )


class SoundWriter(_MediaWriter):
    """Sound as the device gave it, to the bit by FLAC."""

    def write(self, sample: Block) -> bool:
        """Take the next block."""
        channels = sample.samples.shape[1]
        part = self._parts[-1] if self._parts else None
        new = part is None or (part.rate_hz, part.channels) != (sample.rate_hz, channels)
        if new:
            self._open(sample, channels)
        packed = np.ascontiguousarray(sample.samples).reshape(1, -1)
        layout = self._stream.layout.name
        frame = self._av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
        frame.sample_rate = sample.rate_hz
        frame.pts, frame.time_base = self._pts, Fraction(1, sample.rate_hz)
        self._pts += len(sample.samples)
        self._put(frame, (sample.run, sample.index, len(sample.samples), sample.time_ns))
        return new

    def track(self, lost: int) -> Track:
        """Describe what was written so far."""
        return Track(kind="sound", parts=tuple(self._parts), samples=self.samples, lost=lost)

    def _open(self, sample: Block, channels: int) -> None:
        if channels > MAX_CHANNELS:
            raise OSError(f"sound of {channels} channels; FLAC has {MAX_CHANNELS} at most")
        media, times = self._begin(sample.time_ns)
        self._pts = 0
        self._stream = self._container.add_stream("flac", rate=sample.rate_hz)
        self._stream.layout = {1: "mono", 2: "stereo"}.get(channels, f"{channels}c")
        self._stream.format = "s16"
        self._parts.append(
            Part(media=media, times=times, rate_hz=sample.rate_hz, channels=channels)
        )


class LinesWriter(TrackWriter):
    """Lines of text and readings of sensors."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder, name)
        self._file = (folder / f"{name}-0.jsonl").open("w", encoding="utf-8")
        self._kind: Any = "text"

    def write(self, sample: Line | Reading) -> bool:
        """Take the next line or reading."""
        self._kind = sample.kind
        row: dict[str, Any] = {"time_ns": sample.time_ns}
        if isinstance(sample, Line):
            row["text"] = sample.text
        else:
            row["values"] = sample.values.tolist()
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        self.samples += 1
        return self.samples == 1

    def track(self, lost: int) -> Track:
        """Describe what was written so far."""
        return Track(
            kind=self._kind, lines=f"{self._name}-0.jsonl", samples=self.samples, lost=lost
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()
