"""A source that does what a test tells it to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from mmedge.errors import SourceError
from mmedge.runtime.samples import Block, Sample, SampleKind
from mmedge.runtime.sources import Ended

MS = 1_000_000


class FakeSource:
    """Gives a block of sound every 2 ms, and hangs, fails, stalls or ends on demand.

    Class attributes are shared by all lives of the device; a test makes its own subclass.
    """

    kinds: ClassVar[tuple[SampleKind, ...]] = ("sound",)
    name = "fake"
    patience_ms = 200
    mood = "gives"  # gives, gone, stalls, hangs, ends
    opened = 0
    closed = 0
    release = threading.Event()

    def __init__(self) -> None:
        self._index = 0

    def open(self) -> str:
        if type(self).mood == "gone":
            raise SourceError("it is not there")
        type(self).opened += 1
        self._index = 0
        return "1000 Hz"

    def read(self) -> Sample | None:
        mood = type(self).mood
        if mood == "gone":
            raise SourceError("it was unplugged")
        if mood == "hangs":
            type(self).release.wait(20)
            raise SourceError("it woke up")
        if mood == "ends":
            raise Ended
        time.sleep(0.002)
        if mood == "stalls":
            return None
        block = Block(
            time.monotonic_ns() - 2 * MS, np.zeros((2, 1), np.int16), 1000, 1, self._index
        )
        self._index += 2
        return block

    def close(self) -> None:
        type(self).closed += 1


def fresh_fake() -> type[FakeSource]:
    """A device of its own."""

    class Device(FakeSource):
        release = threading.Event()

    return Device


def wait_until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Wait for something that another thread does; fails the test if it does not happen."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.005)
