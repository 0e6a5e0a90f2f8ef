"""The newest picture, or the newest clip of pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from mmedge.runtime.preprocess import Picture
from mmedge.runtime.rings.ring import Ring, Window
from mmedge.runtime.samples import Frame
from mmedge.runtime.windows.cut import NS_PER_MS, pick_frames
from mmedge.specs import Image

__all__ = ["FrameRing"]

_MAX_KEPT_BYTES = 2**30
_MAX_WAITING = 8
"""Pictures that one who wants every one may lie behind before some are dropped."""


class FrameRing(Ring):
    """Pictures of one camera.

    Args:
        name: the modality's name.
        spec: how many pictures make a clip, and their stride.
        every: give every picture, one after the other, not the newest.
    """

    def __init__(self, name: str, spec: Image, *, every: bool = False) -> None:
        super().__init__(name)
        self._spec = spec
        self._every = every
        self._stride_ns = spec.stride_ms * NS_PER_MS
        self._frames: deque[Frame] = deque()
        self._arrived = 0
        self._taken_ns = -1

    def cut(self, place: tuple[int, ...]) -> Window | None:
        """Give the pictures of those capture times."""
        with self._lock:
            by_time = {frame.time_ns: frame for frame in self._frames}
            if len(place) != self._spec.frames or not set(place) <= set(by_time):
                return None
            return _window([by_time[time_ns] for time_ns in place], 0)

    def _in_order_of_time(self, sample: Frame) -> bool:
        # Two pictures of one moment could not be told apart, in a clip or a recording.
        if sample.time_ns == self._newest_ns:
            self.disordered += 1
            return False
        return super()._in_order_of_time(sample)

    def _keep(self, sample: Frame) -> bool:
        if self._frames and self._frames[-1].pixels.shape != sample.pixels.shape:
            self._frames.clear()  # a camera that was switched over: no clip holds both sizes
        self._frames.append(sample)
        self._arrived += 1
        self._forget(sample)
        return True

    def _forget(self, newest: Frame) -> None:
        waiting = min(_MAX_WAITING if self._every else 1, len(self._frames))
        oldest_ns = self._frames[-waiting].time_ns - (self._spec.frames - 1) * self._stride_ns
        while len(self._frames) > 1 and self._frames[1].time_ns <= oldest_ns:
            self._frames.popleft()
        while len(self._frames) * newest.pixels.nbytes > _MAX_KEPT_BYTES:
            self._frames.popleft()

    def _next(self) -> Window | None:
        if not self._frames or self._frames[-1].time_ns <= self._taken_ns:
            return None
        # Of the first pictures, and of those after a gap, there is no clip, now or later.
        ends = [frame for frame in self._frames if frame.time_ns > self._taken_ns]
        clips = map(self._clip, ends if self._every else ends[-1:])
        frames = next((clip for clip in clips if clip is not None), None)
        if frames is None:
            return None
        end = frames[-1]
        waiting = sum(frame.time_ns > end.time_ns for frame in self._frames)
        skipped = self._arrived - 1 - waiting
        self._arrived = waiting
        if self._every and skipped and self._taken_ns >= 0:
            self._reset = self._reset or f"{skipped} pictures were dropped"
        self._taken_ns = end.time_ns
        return _window(frames, skipped)

    def _clip(self, end: Frame) -> list[Frame] | None:
        if self._spec.frames == 1:
            return [end]
        picked = pick_frames(
            [frame.time_ns for frame in self._frames],
            end.time_ns + 1,
            self._spec.frames,
            self._stride_ns,
            max_age_ns=2 * self._stride_ns,
        )
        return None if picked is None else [self._frames[index] for index in picked]

    def _clear(self) -> None:
        self._frames.clear()
        self._taken_ns = -1


def _window(frames: Sequence[Frame], skipped: int) -> Window:
    pixels = frames[0].pixels if len(frames) == 1 else np.stack([each.pixels for each in frames])
    return Window(
        raw=Picture(pixels, frames[0].order),
        begin_ns=frames[0].time_ns,
        end_ns=frames[-1].time_ns,
        place=tuple(frame.time_ns for frame in frames),
        skipped=skipped,
    )
