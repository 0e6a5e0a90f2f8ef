"""Stands for the package `sounddevice`: a microphone that hears the clip from ``BEGIN_NS`` on."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np

CLIP = Path(__file__).resolve().parents[2] / "mmedge" / "demo" / "clip.mkv"
default = SimpleNamespace(device=(0, -1))


class PortAudioError(Exception):
    pass


def query_devices() -> list[dict[str, Any]]:
    mic = {"name": "Simulated", "hostapi": 0, "max_input_channels": 1}
    return [{**mic, "default_samplerate": 8_000.0}]


def query_hostapis(index: int) -> dict[str, str]:
    return {"name": ("Simulated",)[index]}


def check_input_settings(*_: Any) -> None:
    pass


class RawInputStream:
    def __init__(
        self, *, samplerate: int, blocksize: int, callback: Callable[..., None], **_: Any
    ) -> None:
        assert samplerate == 8_000
        self.samplerate, self.channels = float(samplerate), 1
        self._frames, self._callback = blocksize, callback

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with av.open(str(CLIP)) as file:
            heard = np.concatenate([f.to_ndarray().reshape(-1) for f in file.decode(audio=0)])
        assert heard.dtype == np.int16
        rate_hz, begin_ns = int(self.samplerate), int(os.environ["BEGIN_NS"])
        index = (time.monotonic_ns() - begin_ns) * rate_hz // 10**9
        while True:
            at = index + np.arange(self._frames)
            there = (at >= 0) & (at < len(heard))
            samples = np.where(there, heard[at.clip(0, len(heard) - 1)], 0).astype("<i2")
            begun_ns = begin_ns + index * 10**9 // rate_hz
            index += self._frames
            done_ns = begin_ns + index * 10**9 // rate_hz
            time.sleep(max(done_ns - time.monotonic_ns(), 0) / 1e9)
            times = SimpleNamespace(inputBufferAdcTime=begun_ns / 1e9)
            self._callback(memoryview(samples.tobytes()), self._frames, times, None)
