"""A loudspeaker: plays so that the first sample sounds at a given time.

A line ``FILE BEGIN_NS`` on standard input names an int16 ``.npy`` at 48 kHz and that time on
the monotonic clock. Prints ``ready`` when it can be heard. What it plays goes wherever
``PULSE_SINK`` says.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sounddevice

RATE_HZ = 48_000


class Player:
    """The callback, which gives silence until the time has come."""

    def __init__(self) -> None:
        self._sound: npt.NDArray[np.int16] = np.zeros(0, np.int16)
        self._begin_ns = 0
        self._next: int | None = 0
        self.late_ms = 0.0

    def play(self, sound: npt.NDArray[np.int16], begin_ns: int) -> None:
        self._sound, self._begin_ns, self._next = sound, begin_ns, None

    def callback(self, out: Any, frames: int, times: Any, _status: Any) -> None:
        samples = np.zeros(frames, np.int16)
        if self._next is None:
            ahead_s = max(times.outputBufferDacTime - times.currentTime, 0)
            first_ns = time.monotonic_ns() + int(ahead_s * 1e9)
            first = round((first_ns - self._begin_ns) * RATE_HZ / 1e9)
            if first > -frames:
                self._next = first
        if self._next is not None:
            places = np.arange(self._next, self._next + frames)
            inside = (places >= 0) & (places < len(self._sound))
            samples[inside] = self._sound[places[inside]]
            self._next += frames
        out[:] = samples.tobytes()


def main() -> None:
    player = Player()
    stream = sounddevice.RawOutputStream(
        device="pulse",
        samplerate=RATE_HZ,
        channels=1,
        dtype="int16",
        blocksize=480,
        latency=0.1,
        callback=player.callback,
    )
    stream.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        path, begin_ns = line.split()
        player.play(np.load(Path(path)), int(begin_ns))


if __name__ == "__main__":
    main()
