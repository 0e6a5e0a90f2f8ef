"""A stream that carries picture and sound, through PyAV: both on one clock."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mmedge._optional import require
from mmedge.errors import ConfigError, SourceError
from mmedge.runtime.clips.container import lenient
from mmedge.runtime.clips.sound import decoded_samples
from mmedge.runtime.samples import Block, Frame, SampleKind
from mmedge.runtime.sources.address import is_url, shown
from mmedge.runtime.sources.pcm import SoundRuns, as_int16
from mmedge.runtime.sources.stream_clock import StreamClock
from mmedge.runtime.sources.view import View

__all__ = ["Av", "AvConfig"]

_log = logging.getLogger(__name__)

# What says nothing of time, or makes it up: a picture counts from its arrival.
_TIMELESS = ("mpjpeg", "mjpeg", "h264", "hevc")
_BEHIND_NS = 3_000_000_000
_MAX_DAMAGED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AvConfig:
    """One stream from the network.

    Attributes:
        url: ``rtsp://``, ``http://`` and what else FFmpeg opens.
        picture: whether its pictures are wanted.
        sound: whether its sound is wanted.
        view: how its pictures are turned, mirrored and cropped.
        transport: of RTSP: ``tcp`` loses nothing and passes through walls; ``udp``.
        delay_ms: the shortest way from the light to here, which nothing tells; it is taken
            off the time of capture. A wired camera's is some 60 ms.
        timeout_ms: without anything for so long, it is dead. Opening may take twice that.
    """

    url: str
    picture: bool = True
    sound: bool = True
    view: View = field(default_factory=View)
    transport: Literal["tcp", "udp"] = "tcp"
    delay_ms: int = 0
    timeout_ms: int = 2_000

    def __post_init__(self) -> None:
        if not is_url(self.url) or self.url.lower().startswith("file:"):
            raise ConfigError(
                f"'{shown(self.url)}' is no stream's address; give rtsp://HOST/PATH or http://..."
            )
        if not (self.picture or self.sound):
            raise ConfigError(f"{shown(self.url)}: neither picture nor sound is wanted")
        if self.transport not in {"tcp", "udp"}:
            raise ConfigError(f"transport='{self.transport}'; give tcp or udp")
        if not 0 <= self.delay_ms <= 10_000:
            raise ConfigError(f"delay_ms={self.delay_ms} must lie in 0..10000")
        if not 100 <= self.timeout_ms <= 60_000:
            raise ConfigError(f"timeout_ms={self.timeout_ms} must lie in 100..60000")


class Av:
    """A stream of pictures (RGB), of sound (int16 at its own rate), or of both.

    The times of capture are the stream's own time stamps, mapped by one `StreamClock`, so
    that picture and sound stay as near to each other as the sender stamped them.

    Pictures may change their size on the way, and it is said where they do. Where the
    network stalls, `read` takes up to ``timeout_ms``, and `open` twice that.
    """

    def __init__(self, config: AvConfig) -> None:
        wishes: dict[SampleKind, bool] = {"image": config.picture, "sound": config.sound}
        self.kinds = tuple(kind for kind, wish in wishes.items() if wish)
        self.name = f"stream {shown(config.url)}"
        self.patience_ms = config.timeout_ms
        self.late = 0
        self._config = config
        self._container: Any = None
        self._samples: Iterator[Frame | Block | None] = iter(())
        self._damaged = 0
        self._size: tuple[int, ...] = ()
        self._late_since_ns: int | None = None
        # Runs are counted over all openings.
        self._runs = SoundRuns()

    def open(self) -> str:
        """Open it; see `Source`."""
        self.close()
        config = self._config
        av = require("av", extra="live", why="a stream with sound")
        options = {"rtsp_transport": config.transport, "fflags": "nobuffer", "flags": "low_delay"}
        limits_s = (config.timeout_ms / 500, config.timeout_ms / 1000)
        try:
            self._container = av.open(config.url, options=options, timeout=limits_s, **lenient(av))
        except (av.FFmpegError, OSError, ValueError) as exc:
            # PyAV's message holds the whole URL: neither shown nor chained.
            reason = _reason(av, exc)
            raise SourceError(f"cannot open {shown(config.url)}: {reason}") from None
        tracks = self._tracks()
        self._runs.begin()
        self._damaged, self._late_since_ns, self._size = 0, None, ()
        self._samples = self._read_all(tracks, StreamClock())
        return ", ".join(_described(track) for track in tracks)

    def _tracks(self) -> list[Any]:
        """Choose the first track of each kind that is wanted."""
        config, streams = self._config, self._container.streams
        tracks: list[Any] = []
        for wanted, kind, found in (
            (config.picture, "picture", streams.video),
            (config.sound, "sound", streams.audio),
        ):
            if wanted and not (found and found[0].codec_context):
                self.close()
                raise SourceError(
                    f"{shown(config.url)} has no {kind} that can be read; set {kind}=False, or "
                    "switch it on in the camera"
                )
            tracks += found[:1] if wanted else []
        if self._container.duration and config.url.lower().startswith("http"):
            self.close()
            raise SourceError(
                f"{shown(config.url)} is a recording, not a live stream: download it, and play "
                "the file"
            )
        for track in tracks:
            # Decoding by frames in parallel would hold back one picture per thread.
            track.thread_type = "SLICE"
        return tracks

    def read(self) -> Frame | Block | None:
        """Wait for the next picture or block of sound; see `Source`."""
        if self._container is None:
            raise SourceError(f"{self.name} is not open; call open() first")
        av = require("av", extra="live", why="a stream with sound")
        try:
            return next(self._samples)
        except StopIteration:
            raise SourceError(f"{self.name} has ended") from None
        except (av.FFmpegError, OSError) as exc:
            if isinstance(exc, SourceError):
                raise
            raise SourceError(f"{self.name} broke off: {_reason(av, exc)}") from None

    def _read_all(self, tracks: list[Any], clock: StreamClock) -> Iterator[Frame | Block | None]:
        """Give what comes; ``None`` where a packet gave nothing."""
        timeless = self._container.format.name in _TIMELESS
        seen_ns = time.monotonic_ns()
        for packet in self._packets(tracks):
            arrival_ns, given = time.monotonic_ns(), False
            for decoded in self._decoded(packet) if packet.stream in tracks else ():
                stream_ns = arrival_ns if timeless else _stamp_ns(decoded)
                if self._is_fresh(stream_ns + _length_ns(decoded), arrival_ns, clock):
                    given = True
                    yield self._sample(decoded, stream_ns, clock)
            if packet.stream.type == "video" and given:
                seen_ns = arrival_ns
            elif self._config.picture and arrival_ns - seen_ns > 5_000_000 * self.patience_ms:
                raise SourceError(
                    f"{self.name} has given no picture for {5 * self.patience_ms / 1000:g} s, "
                    "although something comes; is its picture switched on?"
                )
            if not given:
                yield None

    def _packets(self, tracks: list[Any]) -> Iterator[Any]:
        # Of all tracks: what comes of one that is not wanted still ends the waiting.
        packets = iter(self._container.demux())
        while True:
            begin_ns = time.monotonic_ns()
            packet = next(packets, None)
            # After its time-out FFmpeg first gives what it still held, and waits once more.
            if time.monotonic_ns() - begin_ns > self._config.timeout_ms * 990_000:
                raise SourceError(f"{self.name} broke off: no answer in time")
            if packet is None:
                return
            yield packet

    def _decoded(self, packet: Any) -> list[Any]:
        try:
            decoded = list(packet.decode())
        except ValueError:  # FFmpeg's InvalidDataError: something was lost, until a key frame
            self._damaged += 1
            if self._damaged > _MAX_DAMAGED:
                raise
            return []
        self._damaged = 0
        return decoded

    def _is_fresh(self, end_ns: int, arrival_ns: int, clock: StreamClock) -> bool:
        anchors = clock.anchors
        fresh = clock.note(end_ns, arrival_ns)
        if clock.anchors > anchors:
            self._runs.begin()
        if fresh:
            self._late_since_ns = None
            return True
        self.late += 1
        self._late_since_ns = self._late_since_ns or arrival_ns
        if arrival_ns - self._late_since_ns > _BEHIND_NS:
            raise SourceError(
                f"{self.name} is more than a second behind, and stays so: it is more than this "
                "machine can decode; ask the camera for smaller pictures"
            )
        return False

    def _sample(self, decoded: Any, stream_ns: int, clock: StreamClock) -> Frame | Block:
        delay_ns = self._config.delay_ms * 1_000_000
        if hasattr(decoded, "samples"):
            samples = as_int16(decoded_samples(decoded, shown(self._config.url)))
            begin_ns, run, index = self._runs.place(stream_ns, len(samples), decoded.sample_rate)
            time_ns = clock.pipeline_ns(begin_ns) - delay_ns
            return Block(time_ns, samples, decoded.sample_rate, run, index)
        pixels = decoded.to_ndarray(format="rgb24")
        if self._size not in {(), pixels.shape}:
            _log.warning("%s: %dx%d pixels from now on", self.name, pixels.shape[1], len(pixels))
        self._size = pixels.shape
        turned = np.rot90(pixels, round(decoded.rotation / 90) % 4)
        return Frame(clock.pipeline_ns(stream_ns) - delay_ns, self._config.view.apply(turned))

    def close(self) -> None:
        """Close the connection; see `Source`."""
        container, self._container, self._samples = self._container, None, iter(())
        if container is not None:
            container.close()


def _stamp_ns(decoded: Any) -> int:
    if decoded.pts is None:
        raise SourceError("the stream has no time stamps, so that nothing can be aligned")
    base = decoded.time_base
    return int(decoded.pts * base.numerator * 1_000_000_000 // base.denominator)


def _length_ns(decoded: Any) -> int:
    """Give how long what was captured lasted: sound is whole only when its end has come."""
    if hasattr(decoded, "samples"):
        return int(decoded.samples * 1_000_000_000 // decoded.sample_rate)
    return 0


def _described(track: Any) -> str:
    codec = track.codec_context
    if track.type == "video":
        return f"{codec.width}x{codec.height} {codec.name}" if codec.width else str(codec.name)
    return f"{codec.name} {codec.sample_rate} Hz x {codec.layout.nb_channels}"


def _reason(av: Any, exc: BaseException) -> str:
    """Say what happened without FFmpeg's own words, which quote the URL."""
    reasons = {
        av.error.HTTPUnauthorizedError: "user or password are wrong, or missing",
        av.error.HTTPForbiddenError: "this user may not",
        av.error.HTTPNotFoundError: "the server knows no such path",
        av.error.ExitError: "no answer in time",
        ConnectionRefusedError: "nobody listens there; is it on, and the port right?",
        av.error.InvalidDataError: "what it sends is not a stream that FFmpeg reads",
    }
    for kind, reason in reasons.items():
        if isinstance(exc, kind):
            return reason
    return getattr(exc, "strerror", None) or type(exc).__name__
