"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["BackendOpt", "BundleArg", "JsonOpt", "PlanOpt"]

BundleArg = Annotated[Path, typer.Argument(help="Bundle folder, NAME.mmedge.")]
BackendOpt = Annotated[str, typer.Option(help="What runs the graphs.")]
PlanOpt = Annotated[str, typer.Option(help="Which of the bundle's plans.")]
JsonOpt = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
