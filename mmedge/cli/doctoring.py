"""``mmedge doctor``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmedge.cli.options import JsonOpt
from mmedge.errors import IncompatibleError

if TYPE_CHECKING:
    from mmedge.doctor import Report

__all__ = ["doctor"]

_COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}


def doctor(
    bundle: Annotated[
        Path | None, typer.Argument(help="Bundle that is to run here, NAME.mmedge.")
    ] = None,
    as_json: JsonOpt = False,
) -> None:
    """Find what is wrong with this machine, and the commands that mend it; changes nothing.

    Example: [bold]mmedge doctor[/]
    """
    from mmedge.doctor import examine

    opened = None
    if bundle is not None:
        from mmedge.bundle import open_bundle

        opened = open_bundle(bundle)
    report = examine(bundle=opened)
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    else:
        _show(report)
    if report.stops:
        names = ", ".join(dict.fromkeys(each.name for each in report.stops))
        raise IncompatibleError(f"{names}: a command would stop; each has its remedy above")


def _show(report: Report) -> None:
    from rich.markup import escape

    from mmedge.views import results

    out = results()
    width = max(map(len, report.machine), default=0)
    for subject, text in report.machine.items():
        out.print(f"{subject:<{width}}  {escape(text)}", highlight=False, soft_wrap=True)
    for each in report.findings:
        colour = _COLOURS[each.severity]
        out.print(
            f"\n[{colour}]{each.severity}[/]: {each.name}: {escape(each.what)}\n"
            f"    [bold]{escape(each.remedy)}[/]",
            highlight=False,
            soft_wrap=True,
        )
    if not report.findings:
        out.print("\nnothing is wrong", highlight=False)
