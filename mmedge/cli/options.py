"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "BackendOpt",
    "BundleArg",
    "DownmixOpt",
    "EveryOpt",
    "ForceOpt",
    "JsonOpt",
    "MetricOpt",
    "PlanOpt",
    "TextOpt",
]

BundleArg = Annotated[Path, typer.Argument(help="Bundle folder, NAME.mmedge.")]
BackendOpt = Annotated[
    str, typer.Option(help="What runs the graphs; 'auto': what was measured to be fastest here.")
]
PlanOpt = Annotated[
    str, typer.Option(help="Which of the bundle's plans; 'auto': the fastest that is right here.")
]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
MetricOpt = Annotated[
    str | None,
    typer.Option(
        help="What drops are measured in, where a task has several: 'macro_f1', 'recall_at_5'."
    ),
]
TextOpt = Annotated[str | None, typer.Option(help="For the model's text modality.")]
EveryOpt = Annotated[int, typer.Option(help="Hop along a video without sound.")]
DownmixOpt = Annotated[str | None, typer.Option(help="'mean' or 'first': how stereo becomes mono.")]
ForceOpt = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
