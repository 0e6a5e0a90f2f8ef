"""The demo on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mmedge.cli.options import JsonOpt

__all__ = ["demo"]


def demo(
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder for the bundle and the picture.")
    ] = Path("mmedge-demo"),
    as_json: JsonOpt = False,
) -> None:
    """Walk the whole way on the shipped model: export, verify, accuracy, predictions, picture.

    Needs no network. Example: [bold]mmedge demo[/]
    """
    from mmedge import views
    from mmedge.demo import run_demo

    with views.progress() as on_stage:
        result = run_demo(out, on_stage)
    if as_json:
        typer.echo(json.dumps(result.to_json()))
    else:
        views.show_demo(result)
