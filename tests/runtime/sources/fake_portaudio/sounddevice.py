"""Stands for the package `sounddevice` in a microphone's process: devices with every fault.

A device's samples count up: frame ``n`` of channel ``c`` is ``n % 30000 + c``.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

NAMES = (
    "Steady Mic",
    "Mute Mic",
    "Busy Mic",
    "Stuck Mic",
    "Dying Mic",
    "Lossy Mic",
    "Ending Mic",
    "Slow Mic",
)
GRANTED_HZ = (16_000, 48_000)


class PortAudioError(Exception):
    pass


default = SimpleNamespace(device=(0, -1))


def query_devices() -> list[dict[str, Any]]:
    mics = [
        {"name": name, "hostapi": 0, "max_input_channels": 2, "default_samplerate": 48_000.0}
        for name in NAMES
    ]
    return [*mics, {**mics[0], "name": "Loud Speaker", "max_input_channels": 0}]


def query_hostapis(index: int) -> dict[str, str]:
    return {"name": ("Fake API",)[index]}


def check_input_settings(
    device: int, channels: int | None, dtype: str, extra: object, samplerate: int
) -> None:
    if samplerate not in GRANTED_HZ:
        raise PortAudioError("Invalid sample rate", -9997)


class RawInputStream:
    def __init__(
        self,
        *,
        device: int,
        samplerate: int,
        channels: int,
        blocksize: int,
        dtype: str,
        latency: str,
        callback: Callable[..., None],
        finished_callback: Callable[[], None],
    ) -> None:
        check_input_settings(device, channels, dtype, None, samplerate)
        self._name = NAMES[device]
        if self._name == "Busy Mic":
            raise PortAudioError("Device unavailable", -9985)
        if self._name == "Stuck Mic":
            time.sleep(3600)
        if channels == 1:  # as hardware with two channels does
            raise PortAudioError("Invalid number of channels", -9998)
        self.samplerate, self.channels, self._frames = float(samplerate), channels, blocksize
        self._callback, self._finished = callback, finished_callback

    def start(self) -> None:
        if self._name != "Mute Mic":
            threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        begin_s, block_s = time.time(), self._frames / self.samplerate  # noqa: TID251 - its stamps
        block_s *= 2 if self._name == "Slow Mic" else 1
        count = 0
        while True:
            lost = 5 if self._name == "Lossy Mic" and count >= 25 else 0
            adc_s = begin_s + (count + lost) * block_s
            time.sleep(max(adc_s + block_s - time.time(), 0))  # noqa: TID251
            first = np.arange(self._frames)[:, None] + (count + lost) * self._frames
            samples = (first % 30_000 + np.arange(self.channels)).astype("<i2")
            times = SimpleNamespace(inputBufferAdcTime=adc_s)
            self._callback(memoryview(samples.tobytes()), self._frames, times, None)
            count += 1
            if count == 20 and self._name == "Dying Mic":
                os._exit(1)
            if count == 20 and self._name == "Ending Mic":
                self._finished()
                return
