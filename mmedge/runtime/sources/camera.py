"""Cameras through OpenCV: USB, Jetson CSI, and streams of pictures from the network."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from mmedge.errors import ConfigError, SourceError
from mmedge.runtime.samples import Frame, SampleKind
from mmedge.runtime.sources.address import is_url, shown
from mmedge.runtime.sources.capture import Capture, open_csi, open_local, open_url
from mmedge.runtime.sources.view import View

__all__ = ["Camera", "CameraConfig"]

_log = logging.getLogger(__name__)

_NS_PER_S = 1_000_000_000
# A device's time stamp is believed if it lies so near to the frame's arrival.
_BELIEVED_NS = 2 * _NS_PER_S
# After a pause a driver gives out what lay in its buffers, up to 1.9 s old.
_STALE_NS = _NS_PER_S
# So many stale frames in a row are not buffers: then it is the device's clock that is wrong.
_MAX_STALE = 32
# Single frames are damaged on a long cable; so many in a row mean that it is gone.
_MAX_FAILURES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraConfig:
    """One camera, and what is asked of it.

    Attributes:
        device: an index (``0``), a path (``/dev/v4l/by-id/...``), a name in
            ``/dev/v4l/by-id``, ``csi`` or ``csi:1`` for a Jetson's own cameras, or a URL
            (``rtsp://``, ``http://``).
        format: pixel format by its four letters, such as ``MJPG``; empty: the device's choice.
        width: of the picture that the device is asked for, before ``view``; with ``height``.
        height: see ``width``.
        rate_hz: frames per second that the device is asked for.
        view: how its pictures are turned, mirrored and cropped.
        delay_ms: what lies between light and arrival where no device tells the time of
            capture; it is taken off.
        timeout_ms: without a picture for so long, it is dead. Opening may take twice that.
    """

    device: int | str = 0
    format: str = ""
    width: int | None = None
    height: int | None = None
    rate_hz: float | None = None
    view: View = field(default_factory=View)
    delay_ms: int = 0
    timeout_ms: int = 2_000

    def __post_init__(self) -> None:
        if isinstance(self.device, str) and self.device.isdecimal():
            object.__setattr__(self, "device", int(self.device))
        if self.device == "" or (isinstance(self.device, int) and self.device < 0):
            raise ConfigError(
                f"device={self.device!r}; give a camera's index (0 is the first), path, id or URL"
            )
        if self.format and (len(self.format) != 4 or not self.format.isascii()):
            raise ConfigError(f"format='{self.format}'; give four letters, such as MJPG or YUYV")
        sizes = [each for each in (self.width, self.height) if each is not None]
        if len(sizes) == 1 or min(sizes, default=1) < 1:
            raise ConfigError(
                f"width={self.width}, height={self.height}; give both, in pixels, or neither"
            )
        if self.rate_hz is not None and not 0 < self.rate_hz <= 1_000:
            raise ConfigError(f"rate_hz={self.rate_hz} must lie in 0..1000")
        if not 0 <= self.delay_ms <= 10_000:
            raise ConfigError(f"delay_ms={self.delay_ms} must lie in 0..10000")
        if not 100 <= self.timeout_ms <= 60_000:
            raise ConfigError(f"timeout_ms={self.timeout_ms} must lie in 100..60000")
        self._refuse_wishes_to_streams()

    def _refuse_wishes_to_streams(self) -> None:
        asked = self.format or self.width or self.rate_hz
        if isinstance(self.device, str) and is_url(self.device) and asked:
            raise ConfigError(
                f"{shown(self.device)} decides itself on format, size and rate; set them in the "
                "camera, or ask for another of its streams by the URL"
            )

    @property
    def csi(self) -> int | None:
        """The number of a Jetson's own camera, if that is what is meant."""
        kind, _, number = str(self.device).partition(":")
        return int(number or 0) if kind == "csi" and (number or "0").isdecimal() else None


class Camera:
    """A camera. Its frames are BGR, as OpenCV gives them.

    A frame's time is the driver's where that can be believed (V4L2 stamps with the
    monotonic clock), else its arrival less the configured delay. What is older than a
    second when it comes is dropped.

    A stream that changes its size on the way is scaled by OpenCV 5 to the size that it had
    first, while 4.8 repeats its last picture, and nothing tells; through
    `mmedge.runtime.sources.av` it comes as it is.

    Where the network or a driver stalls, `read` takes up to ``timeout_ms``, and `open`
    twice that.
    """

    kinds: ClassVar[tuple[SampleKind, ...]] = ("image",)

    def __init__(self, config: CameraConfig) -> None:
        self.name = f"camera {shown(str(config.device))}"
        self.patience_ms = config.timeout_ms
        self.stale = 0
        self._config = config
        self._capture: Capture | None = None
        self._reset()

    def _reset(self) -> None:
        self._believed = False
        self._stale_in_a_row = self._failures = 0
        self._size: tuple[int, ...] = ()

    def open(self) -> str:
        """Open it; see `Source`."""
        self.close()
        self._reset()
        config = self._config
        if config.csi is not None:
            self._capture = open_csi(config.csi, config.width, config.height, config.rate_hz)
        elif isinstance(config.device, str) and is_url(config.device):
            self._capture = open_url(config.device, config.timeout_ms)
        else:
            self._capture = open_local(
                config.device, config.format, config.width, config.height, config.rate_hz
            )
        asked = self._asked()
        granted = self._capture.granted
        if any(f" {wish} " not in f" {granted} " for wish in asked):
            _log.warning("%s grants %s, not %s", self.name, granted, " ".join(asked))
            return f"{granted} (asked for {' '.join(asked)})"
        return granted

    def _asked(self) -> list[str]:
        config = self._config
        wishes = [f"{config.width}x{config.height}"] if config.width else []
        wishes += [config.format] if config.format else []
        return wishes + ([f"at {config.rate_hz:g} Hz"] if config.rate_hz else [])

    def read(self) -> Frame | None:
        """Wait for the next frame; see `Source`."""
        if self._capture is None:
            raise SourceError(f"{self.name} is not open; call open() first")
        begin_ns = time.monotonic_ns()
        pixels = self._capture.read()
        arrival_ns = time.monotonic_ns()
        self._refuse_late(waited_ns=arrival_ns - begin_ns)
        if pixels is None:
            self._note_failure(waited_ns=arrival_ns - begin_ns)
            return None
        self._failures = 0
        self._check(pixels)
        time_ns = self._captured_ns(self._capture.position_ms(), arrival_ns)
        if time_ns is None:
            return None
        return Frame(time_ns, self._config.view.apply(pixels), "bgr")

    def _refuse_late(self, waited_ns: int) -> None:
        """Notice a stream that has stopped: OpenCV then still gives what its decoder held back."""
        polls = self._capture is not None and self._capture.polls
        if not polls and waited_ns > self._config.timeout_ms * 990_000:
            raise SourceError(
                f"{self.name} has given no picture for {self._config.timeout_ms / 1000:g} s"
            )

    def _note_failure(self, waited_ns: int) -> None:
        """Tell a device that has nothing yet from one that has gone."""
        capture = self._capture
        if capture is not None and capture.polls and waited_ns > 20_000_000:
            return
        self._failures += 1
        if capture is None or not capture.polls or self._failures > _MAX_FAILURES:
            raise SourceError(f"{self.name} gives no more pictures: it is unplugged or has ended")
        time.sleep(0.01)

    def _check(self, pixels: Any) -> None:
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise SourceError(
                f"{self.name} gives {pixels.dtype}{list(pixels.shape)}, not pictures of three "
                "bytes per pixel; ask it for another format, such as MJPG or YUYV"
            )
        if self._size and pixels.shape != self._size:
            (old_h, old_w, _), (height, width, _) = self._size, pixels.shape
            _log.warning(
                "%s: %dx%d pixels from now on, not %dx%d", self.name, width, height, old_w, old_h
            )
        self._size = pixels.shape

    def _captured_ns(self, position_ms: float, arrival_ns: int) -> int | None:
        """Give the time of capture, or ``None`` for a frame that has become stale."""
        estimate_ns = arrival_ns - self._config.delay_ms * 1_000_000
        if self._capture is None or not self._capture.stamps or not position_ms > 0:
            return estimate_ns
        stamp_ns = int(position_ms * 1e6)
        age_ns = arrival_ns - stamp_ns
        self._believed = self._believed or abs(age_ns) < _BELIEVED_NS
        if not self._believed or age_ns < -_BELIEVED_NS:
            return estimate_ns
        if age_ns <= _STALE_NS:
            self._stale_in_a_row = 0
            return min(stamp_ns, arrival_ns)
        self.stale += 1
        self._stale_in_a_row += 1
        if self._stale_in_a_row <= _MAX_STALE:
            return None
        if self._stale_in_a_row == _MAX_STALE + 1:
            _log.warning(
                "%s: the driver's clock is %.1f s off; arrival counts", self.name, age_ns / 1e9
            )
        return estimate_ns

    def close(self) -> None:
        """Give the device back; see `Source`."""
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.close()
