"""From what a user names on the command line to the feeds of a pipeline."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mmedge.errors import ConfigError, SourceError
from mmedge.runtime.pipeline.feeds import Feed
from mmedge.runtime.samples import SampleKind
from mmedge.runtime.sources import Source
from mmedge.runtime.sources.address import shown
from mmedge.specs import Modality, Signal, Sound
from mmedge.specs.base import NAME_PATTERN

if TYPE_CHECKING:
    from mmedge.runtime.sources.view import View

__all__ = ["CameraWishes", "Inputs", "bind"]

_NAME = re.compile(NAME_PATTERN)
_WHOLE = re.compile(r"[0-9]{1,5}$")

_TIMEOUT_MS = 1500
"""A stream that has frozen for so long is opened again: absent within two seconds."""


@dataclass(frozen=True, kw_only=True)
class CameraWishes:
    """What is asked of every camera; see `CameraConfig` and `View`.

    Attributes:
        size: ``640x480``; empty leaves it to the camera.
        rate_hz: pictures per second; ``None`` leaves it to the camera.
        format: ``MJPG``, ``YUYV``...; empty leaves it to the camera.
        rotate: degrees clockwise.
        flip: ``none``, ``horizontal`` or ``vertical``.
        crop: ``left,top,width,height``; empty for none.
    """

    size: str = ""
    rate_hz: float | None = None
    format: str = ""
    rotate: int = 0
    flip: str = "none"
    crop: str = ""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The sources of a pipeline, each as ``DEVICE`` or ``NAME=DEVICE``.

    Attributes:
        cameras: index, path, id, ``csi`` or URL.
        mics: index, name or ``default``.
        streams: URLs that carry picture, sound or both; ``CAMERA,MIC=URL`` names both.
        files: played as if they happened now, named likewise.
        texts: ``-`` or a file of lines that is followed.
        signals: ``-`` or a file of JSON lines that is followed.
        wishes: what is asked of the cameras.
        channels: of the microphones, counted from 0; ``None`` takes the first.
        loop: files begin again at their end.
    """

    cameras: tuple[str, ...] = ()
    mics: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()
    wishes: CameraWishes = field(default_factory=CameraWishes)
    channels: tuple[int, ...] | None = None
    loop: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is no source at all."""
        return not (
            self.cameras or self.mics or self.streams or self.files or self.texts or self.signals
        )


def bind(inputs: Inputs, modalities: Mapping[str, Modality]) -> list[Feed]:
    """Find the modality that each source feeds.

    A source without a name feeds the first modality of its kind that nothing feeds yet.

    Raises:
        ConfigError: a device that cannot be meant, a modality that the model does not have,
            or more sources than modalities of a kind.
        SourceError: a file that is to be played is not there.
    """
    named = [given.rpartition("=")[2] for given in (*inputs.texts, *inputs.signals)]
    if named.count("-") > 1:
        raise ConfigError("standard input can feed one source; give the others a file or a pipe")
    binder = _Binder(modalities)
    kinds: tuple[tuple[SampleKind, tuple[str, ...], Callable[..., Callable[[], Source]]], ...] = (
        ("image", inputs.cameras, partial(_camera, inputs.wishes)),
        ("sound", inputs.mics, partial(_microphone, inputs.channels)),
        ("text", inputs.texts, _text),
        ("signal", inputs.signals, _signal),
    )
    # What is named first takes its place before what is not.
    jobs = [(given, kind, make) for kind, several, make in kinds for given in _named_first(several)]
    feeds = []
    for given, kind, make in jobs:
        name, device = binder.take(given, kind)
        feeds.append(Feed(make=make(device, modalities[name]), feeds={kind: name}))
    for given in _named_first(inputs.streams):
        both, address = binder.take_both(given)
        feeds.append(Feed(make=_stream(address, both, inputs.wishes), feeds=both))
    for given in _named_first(inputs.files):
        both, address = binder.take_both(given)
        feeds.append(Feed(make=_file(address, both, inputs.wishes, inputs.loop), feeds=both))
    return feeds


class _Binder:
    """Gives modalities away, each once."""

    def __init__(self, modalities: Mapping[str, Modality]) -> None:
        self._modalities = modalities
        self._free = list(modalities)

    def take(self, given: str, kind: SampleKind) -> tuple[str, str]:
        """Give modality and device."""
        name, device = self._split(given)
        return (self._first(kind, given) if name is None else self._named(name, kind)), device

    def take_both(self, given: str) -> tuple[dict[SampleKind, str], str]:
        """Give the modalities that picture and sound go to, and the address."""
        names, address = self._split(given)
        feeds: dict[SampleKind, str] = {}
        if names is None:
            for kind in ("image", "sound"):
                if any(self._modalities[name].kind == kind for name in self._free):
                    feeds[kind] = self._first(kind, given)
        else:
            for name in names.split(","):
                kind = self._modalities[name].kind
                if kind not in ("image", "sound") or kind in feeds:
                    raise ConfigError(
                        f"{shown(given)}: one picture and one sound come out of it; {self._known()}"
                    )
                feeds[kind] = self._named(name, kind)
        if not feeds:
            raise ConfigError(f"{shown(given)}: nothing is left for it to feed; {self._known()}")
        return feeds, address

    def _split(self, given: str) -> tuple[str | None, str]:
        name, equals, device = given.partition("=")
        strange = [each for each in name.split(",") if each not in self._modalities]
        if equals and not strange:
            return name, device
        if equals and all(_NAME.match(each) for each in name.split(",")):
            raise ConfigError(
                f"{shown(given)}: the model has no modality {strange[0]!r}; {self._known()}. "
                f"A file of this name is meant by ./{name}=..."
            )
        return None, given

    def _first(self, kind: SampleKind, given: str) -> str:
        for name in self._free:
            if self._modalities[name].kind == kind:
                self._free.remove(name)
                return name
        raise ConfigError(f"{shown(given)}: no {kind} modality is left for it; {self._known()}")

    def _named(self, name: str, kind: SampleKind) -> str:
        if name not in self._free or self._modalities[name].kind != kind:
            raise ConfigError(
                f"{name!r} is no {kind} modality, or has a source already; {self._known()}"
            )
        self._free.remove(name)
        return name

    def _known(self) -> str:
        kinds = (f"{name} ({each.kind})" for name, each in self._modalities.items())
        return f"the model has {', '.join(kinds)}"


def _named_first(several: Iterable[str]) -> Sequence[str]:
    return sorted(several, key=lambda given: "=" not in given)


def _camera(wishes: CameraWishes, device: str, modality: Modality) -> Callable[[], Source]:
    from mmedge.runtime.sources.address import is_url
    from mmedge.runtime.sources.camera import Camera, CameraConfig

    if is_url(device) and importlib.util.find_spec("av"):
        # PyAV tells why a stream cannot be opened and when its size changes; OpenCV does not.
        if wishes.size or wishes.rate_hz or wishes.format:
            raise ConfigError(
                f"{shown(device)}: the sender decides about size, rate and format; leave out "
                "what is asked of the cameras, or name it by --stream instead of --camera"
            )
        return _stream(device, {"image": ""}, wishes)
    width, height = _size(wishes.size)
    config = CameraConfig(
        device=device,
        format=wishes.format,
        width=width,
        height=height,
        rate_hz=wishes.rate_hz,
        view=_view(wishes),
    )
    return lambda: Camera(config)


def _microphone(
    channels: tuple[int, ...] | None, device: str, modality: Modality
) -> Callable[[], Source]:
    from mmedge.runtime.sources.microphone import Microphone, MicrophoneConfig

    wanted = modality.channels if isinstance(modality, Sound) else 1
    config = MicrophoneConfig(
        device=int(device) if device.isdecimal() else device,
        channels=channels or (tuple(range(wanted)) if wanted > 1 else None),
        wish_hz=modality.rate_hz if isinstance(modality, Sound) else None,
    )
    return lambda: Microphone(config)


def _text(device: str, modality: Modality) -> Callable[[], Source]:
    from mmedge.runtime.sources.text import TextConfig, TextSource

    config = TextConfig(path=device)
    return lambda: TextSource(config)


def _signal(device: str, modality: Modality) -> Callable[[], Source]:
    from mmedge.runtime.sources.signals import SignalConfig, SignalSource

    channels = modality.channels if isinstance(modality, Signal) else None
    config = SignalConfig(path=device, channels=channels)
    return lambda: SignalSource(config)


def _stream(url: str, both: Mapping[SampleKind, str], wishes: CameraWishes) -> Callable[[], Source]:
    from mmedge.runtime.sources.av import Av, AvConfig

    config = AvConfig(url=url, picture="image" in both, sound="sound" in both, view=_view(wishes))
    return lambda: Av(config)


def _file(
    path: str, both: Mapping[SampleKind, str], wishes: CameraWishes, loop: bool
) -> Callable[[], Source]:
    from mmedge.runtime.sources.file import FileConfig, FileSource

    if not Path(path).is_file():
        raise SourceError(f"there is no file {path} to be played; check the path")
    config = FileConfig(
        path=Path(path),
        picture="image" in both,
        sound="sound" in both,
        loop=loop,
        view=_view(wishes),
    )
    return lambda: FileSource(config)


def _view(wishes: CameraWishes) -> View:
    from mmedge.runtime.sources.view import View

    crop = None
    if wishes.crop:
        numbers = wishes.crop.split(",")
        if len(numbers) != 4 or not all(_WHOLE.match(number.strip()) for number in numbers):
            raise ConfigError(f"crop {wishes.crop!r}: give left,top,width,height in pixels")
        left, top, width, height = map(int, numbers)
        crop = (left, top, width, height)
    return View(rotate=wishes.rotate, flip=wishes.flip, crop=crop)  # type: ignore[arg-type]


def _size(size: str) -> tuple[int | None, int | None]:
    if not size:
        return None, None
    width, _, height = size.lower().partition("x")
    if not (_WHOLE.match(width) and _WHOLE.match(height)):
        raise ConfigError(f"size {size!r}: give WIDTHxHEIGHT, such as 640x480")
    return int(width), int(height)
