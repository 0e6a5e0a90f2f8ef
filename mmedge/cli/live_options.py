"""Options of the commands that work live."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

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
    "MicOpt",
    "PlayOpt",
    "RateOpt",
    "RotateOpt",
    "SignalOpt",
    "SizeOpt",
    "StreamOpt",
    "TextOpt",
    "option",
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
