"""Microphones, through PortAudio, each in a process of its own."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmedge.errors import ConfigError, SourceError
from mmedge.runtime.samples import Block, SampleKind
from mmedge.runtime.sources.microphone_child import BLOCK
from mmedge.runtime.sources.microphone_process import MicrophoneProcess
from mmedge.runtime.sources.pulse import PREFIX, pulse_sources, source_of
from mmedge.runtime.windows.audio_clock import AudioClock, Handover

__all__ = ["Microphone", "MicrophoneConfig"]

OPENING_S = 10.0
READING_S = 0.1
SETTLING_MS = 100
"""The first blocks are thrown away: their stamps are off by up to 6 ms."""
SOURCE_EVERY_S = 5.0
RATE_CHANGED = 0.001
"""A fit changes by less from block to block; what changes by more was found to be wrong."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class MicrophoneConfig:
    """Which microphone, and how.

    Attributes:
        device: PortAudio's index, a name or an unambiguous part of one, ``default``, or
            ``pulse:NAME`` for a source of the sound server.
        channels: which of its channels, counted from 0; ``None`` takes the first.
        rate_hz: the rate that it must have; ``None`` leaves that to it.
        wish_hz: the rate to ask for where none is demanded, such as the model's; a device
            that refuses is opened at its own.
        block_ms: length of a block.
    """

    device: int | str = "default"
    channels: tuple[int, ...] | None = None
    rate_hz: int | None = None
    wish_hz: int | None = None
    block_ms: int = 20

    def __post_init__(self) -> None:
        if isinstance(self.device, str) and not self.device.removeprefix(PREFIX):
            raise ConfigError(
                f"device={self.device!r} names no microphone; give an index, a name or 'default'"
            )
        picked = self.channels
        if picked is not None and (not picked or min(picked) < 0 or len(set(picked)) < len(picked)):
            raise ConfigError(f"channels={picked} must be different numbers, counted from 0")
        for name in ("rate_hz", "wish_hz"):
            rate_hz = getattr(self, name)
            if rate_hz is not None and not 1000 <= rate_hz <= 768_000:
                raise ConfigError(f"{name}={rate_hz} must lie in 1000..768000")
        if not 2 <= self.block_ms <= 200:
            raise ConfigError(f"block_ms={self.block_ms} must lie in 2..200")


class Microphone:
    """A source of sound; see `mmedge.runtime.sources.source.Source`.

    Capture times come from the device's clock, fitted to the host's
    (`mmedge.runtime.windows.audio_clock`). Closing kills the process, whatever the driver does.
    """

    kinds: tuple[SampleKind, ...] = ("sound",)
    patience_ms = 1000

    def __init__(self, config: MicrophoneConfig | None = None) -> None:
        self._config = config or MicrophoneConfig()
        self.name = f"microphone {self._config.device}"
        self._run = 0
        self._process: MicrophoneProcess | None = None
        self._channels = 0
        self._rate_hz = 0
        self._clock: AudioClock | None = None
        self._waiting: deque[npt.NDArray[np.int16]] = deque()
        self._blocks: deque[Block] = deque()
        self._source = ""
        self._source_due = 0.0

    def open(self) -> str:
        """Open it; see `Source.open`.

        Raises:
            SourceError: there is no such device (the message lists what there is), it is busy,
                refuses the rate or the channels, or does not answer.
            MissingDependencyError: sounddevice or PortAudio is not installed.
        """
        self.close()
        config, device = self._config, self._config.device
        environment = {}
        if isinstance(device, str) and device.startswith(PREFIX):
            environment["PULSE_SOURCE"] = _known_source(device.removeprefix(PREFIX))
            device = "pulse"
        elif isinstance(device, str) and device.isdecimal():
            device = int(device)
        rate_hz = config.rate_hz or config.wish_hz
        request = {
            "what": "record",
            "device": device,
            "channels": max(config.channels or (0,)) + 1,
            "rates_hz": [rate_hz] if rate_hz else [],
            "demanded": config.rate_hz is not None,
            "block_ms": config.block_ms,
        }
        self._process = MicrophoneProcess(self.name, request, environment)
        try:
            return self._opened(self._process)
        except BaseException:
            self.close()
            raise

    def _opened(self, process: MicrophoneProcess) -> str:
        message = process.receive(OPENING_S)
        if message is None:
            raise SourceError(
                f"{self.name}: no answer within {OPENING_S:.0f} s of opening it; its driver or the "
                "sound server hangs"
            )
        opened = json.loads(message[1])
        self._channels, self._rate_hz = opened["channels"], opened["rate_hz"]
        self._clock = AudioClock(self._rate_hz, self._run)
        self._source = source_of(process.pid)
        self._source_due = time.monotonic() + SOURCE_EVERY_S
        picked = ", ".join(map(str, self._config.channels or (0,)))
        real = f" ({self._source})" if self._source else ""
        return f"{opened['name']}{real} at {self._rate_hz} Hz, channel {picked} of {self._channels}"

    def read(self) -> Block | None:
        """Wait for the next block; see `Source.read`."""
        process = self._process
        if process is None:
            raise SourceError(f"{self.name}: it is not open")
        self._watch_source(process)
        deadline = time.monotonic() + READING_S
        while not self._blocks:
            message = process.receive(max(deadline - time.monotonic(), 0))
            if message is None:
                return None
            self._take(message[1])
        return self._blocks.popleft()

    def _take(self, payload: bytes) -> None:
        """Place a block in time; its place may come only with the next."""
        assert self._clock is not None
        index, frames, host_ns, wall_ns, device_ns = BLOCK.unpack_from(payload)
        if index * 1000 < SETTLING_MS * self._rate_hz:
            return
        samples = np.frombuffer(payload, "<i2", offset=BLOCK.size).reshape(frames, self._channels)
        picked = list(self._config.channels or (0,))
        if picked != list(range(self._channels)):
            samples = samples[:, picked]
        self._waiting.append(samples)
        handover = Handover(
            index=index, frames=frames, host_ns=host_ns, wall_ns=wall_ns, device_ns=device_ns
        )
        lost_ns, rate_hz = self._clock.lost_ns, self._clock.rate_hz
        for place in self._clock.place(handover):
            self._blocks.append(
                Block(
                    time_ns=place.time_ns,
                    samples=self._waiting.popleft(),
                    rate_hz=self._rate_hz,
                    run=place.run,
                    index=place.index,
                    drift_ppm=place.drift_ppm,
                )
            )
        if self._clock.lost_ns != lost_ns:
            missing_ms = (self._clock.lost_ns - lost_ns) / 1e6
            _log.warning("%s: %.0f ms of sound are missing", self.name, missing_ms)
        if abs(self._clock.rate_hz / rate_hz - 1) > RATE_CHANGED:
            now_hz = self._clock.rate_hz
            _log.warning("%s: it gives %.0f Hz instead of %d", self.name, now_hz, self._rate_hz)

    def _watch_source(self, process: MicrophoneProcess) -> None:
        """Notice that the sound server has moved the stream to another microphone."""
        now_s = time.monotonic()
        if not self._source or now_s < self._source_due:
            return
        self._source_due = now_s + SOURCE_EVERY_S
        source = source_of(process.pid)
        if source and source != self._source:
            raise SourceError(
                f"{self.name}: the sound server has moved it from {self._source} to {source}"
            )

    def close(self) -> None:
        """Give the device back; see `Source.close`."""
        if self._process is not None:
            self._process.close()
        self._process = None
        if self._clock is not None:
            self._run = self._clock.run + 1
        self._clock = None
        self._waiting.clear()
        self._blocks.clear()


def _known_source(name: str) -> str:
    """Give the name back, if the sound server has such a source or does not tell."""
    known = [str(each["name"]) for each in pulse_sources()]
    if known and name not in known:
        listed = ", ".join(PREFIX + each for each in known)
        raise SourceError(
            f"microphone {PREFIX}{name}: the sound server has no such source; there are: {listed}"
        )
    return name
