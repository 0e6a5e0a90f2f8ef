"""Options of the commands that work live."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, overload

import typer

from mmedge.errors import ConfigError

if TYPE_CHECKING:
    from mmedge.runtime.pipeline.binding import Inputs
    from mmedge.runtime.pipeline.recorder import RecordConfig

__all__ = [
    "EVENTS",
    "HOW",
    "SOURCES",
    "WHERE",
    "BundleOpt",
    "CameraOpt",
    "ChannelsOpt",
    "CropOpt",
    "FlipOpt",
    "FormatOpt",
    "LinesOpt",
    "LoopOpt",
    "LossyOpt",
    "MicOpt",
    "PlayOpt",
    "RateOpt",
    "RotateOpt",
    "SignalOpt",
    "SizeOpt",
    "StreamOpt",
    "TextOpt",
    "inputs_of",
    "kept_in",
    "option",
    "pairs",
    "source",
]

SOURCES, WHERE, HOW, EVENTS = "Sources", "Where predictions go", "How it predicts", "Events"


def option(panel: str, help: str, *names: str) -> Any:
    """Make an option that the help shows in that panel."""
    return typer.Option(*names, help=help, rich_help_panel=panel)


def source(help: str, *names: str) -> Any:
    """Make an option that names a source, or says how it is opened."""
    return option(SOURCES, help, *names)


BundleOpt = Annotated[
    Path | None,
    typer.Argument(
        help="Bundle folder; else $MMEDGE_BUNDLE, the only *.mmedge here, or the demo's."
    ),
]
CameraOpt = Annotated[
    list[str] | None, source("[NAME=]0, /dev/v4l/by-id/..., csi, rtsp://... Repeat for several.")
]
MicOpt = Annotated[list[str] | None, source("[NAME=]default, an index, or a part of the name.")]
StreamOpt = Annotated[
    list[str] | None, source("[CAMERA,MIC=]rtsp://... that carries picture and sound.")
]
PlayOpt = Annotated[list[str] | None, source("[CAMERA,MIC=]FILE, played as if it happened now.")]
LoopOpt = Annotated[bool, source("Play files again and again.", "--loop")]
TextOpt = Annotated[str | None, source("A text that holds from the start.")]
LinesOpt = Annotated[list[str] | None, source("[NAME=]- or FILE: a text per line, followed.")]
SignalOpt = Annotated[
    list[str] | None, source("[NAME=]- or FILE: readings as JSON lines, followed.")
]
SizeOpt = Annotated[str, source("Size asked of the cameras, 640x480.", "--camera-size")]
RateOpt = Annotated[float | None, source("Pictures per second asked of the cameras.")]
FormatOpt = Annotated[str, source("Pixel format asked of the cameras: MJPG, YUYV.")]
RotateOpt = Annotated[int, source("Degrees clockwise: 0, 90, 180, 270.")]
FlipOpt = Annotated[str, source("none, horizontal, vertical.")]
CropOpt = Annotated[str, source("LEFT,TOP,WIDTH,HEIGHT of the turned picture.")]
ChannelsOpt = Annotated[str, source("Channels of the microphones, from 0: 0 or 0,1.")]
LossyOpt = Annotated[
    bool, typer.Option(help="Pictures by MJPEG: a tenth of the size, not the same.")
]


def inputs_of(
    named: tuple[list[str] | None, ...],
    wishes: tuple[str, float | None, str, int, str, str],
    channels: str,
    loop: bool,
) -> Inputs:
    """Turn the options that name sources into what the pipeline takes."""
    from mmedge.runtime.pipeline.binding import CameraWishes, Inputs

    cameras, mics, streams, files, texts, signals = (tuple(each or ()) for each in named)
    size, rate_hz, letters, rotate, flip, crop = wishes
    numbers = [each.strip() for each in channels.split(",") if channels]
    if not all(each.isdecimal() for each in numbers):
        raise ConfigError(f"--mic-channels {channels!r}: give numbers from 0, such as 0,1")
    return Inputs(
        cameras=cameras,
        mics=mics,
        streams=streams,
        files=files,
        texts=texts,
        signals=signals,
        wishes=CameraWishes(
            size=size, rate_hz=rate_hz, format=letters, rotate=rotate, flip=flip, crop=crop
        ),
        channels=tuple(map(int, numbers)) or None,
        loop=loop,
    )


@overload
def kept_in(path: Path, max_bytes: int, max_s: float, lossy: bool) -> RecordConfig: ...
@overload
def kept_in(path: None, max_bytes: int, max_s: float, lossy: bool) -> None: ...
def kept_in(path: Path | None, max_bytes: int, max_s: float, lossy: bool) -> RecordConfig | None:
    """Turn the options of a recording into what the recorder takes."""
    if path is None:
        return None
    from mmedge.runtime.pipeline.recorder import RecordConfig

    return RecordConfig(path=path, max_bytes=max_bytes, max_s=max_s, lossless=not lossy)


def pairs(option: str, given: list[str] | None) -> dict[str, float]:
    """Read what is given as NAME=NUMBER."""
    read = {}
    for each in given or ():
        name, _, value = each.partition("=")
        try:
            read[name] = float(value)
        except ValueError as exc:
            raise ConfigError(f"--{option} {each!r}: give NAME=NUMBER") from exc
        if not math.isfinite(read[name]):
            raise ConfigError(f"--{option} {each!r}: {value} is no number that can be meant")
    return read
