"""The command line: every command parses, calls one function, prints."""

from __future__ import annotations

import errno
import importlib
import io
import logging
import os
import sys
import traceback
from typing import Annotated

import typer

from mmedge.cli.ending import Commands, fail
from mmedge.errors import MmedgeError

COMMANDS = {
    "export": "mmedge.cli.bundles:export",
    "verify": "mmedge.cli.bundles:verify",
    "inspect": "mmedge.cli.bundles:inspect",
    "predict": "mmedge.cli.prediction:predict",
    "eval": "mmedge.cli.evaluation:evaluate",
    "calibrate": "mmedge.cli.calibration:calibrate",
    "build": "mmedge.cli.building:build",
    "bench": "mmedge.cli.benching:bench",
    "gallery": "mmedge.cli.retrieval:gallery",
    "search": "mmedge.cli.retrieval:search",
    "serve": "mmedge.cli.live:serve",
    "record": "mmedge.cli.live:record",
    "devices": "mmedge.cli.live:devices",
    "doctor": "mmedge.cli.doctoring:doctor",
    "demo": "mmedge.cli.demo:demo",
}
"""Command -> where it is. Only the one that is called for is imported: `serve` runs for months
on small boards, and has no use for the options of the others."""


def main() -> None:
    """Run the command line; every error that is not a bug is one message and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a letter shows another
            stream.reconfigure(errors="replace")
    logging.basicConfig(level=logging.WARNING, format="mmedge: %(message)s", stream=sys.stderr)
    try:
        command_line(sys.argv[1:])(prog_name="mmedge")
    except MmedgeError as exc:
        sys.exit(fail(str(exc), exc.exit_code))
    except Exception as exc:  # noqa: BLE001 - the last stop: whatever comes here is our bug
        if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
            sys.exit(fail(f"the output cannot be written: {exc.strerror}", 6))
        if isinstance(exc, MemoryError):
            sys.exit(fail(f"the memory does not suffice: {exc}. Give smaller inputs.", 6))
        if os.environ.get("MMEDGE_TRACEBACK"):
            traceback.print_exc()
        text = f"{type(exc).__name__}: {exc}\nThis is a bug in mmedge. Please report it with "
        sys.exit(fail(f"{text}what MMEDGE_TRACEBACK=1 mmedge ... prints.", 70))


def command_line(arguments: list[str]) -> typer.Typer:
    """Give the command that is called for, or all of them where none is (``--help``, a typo)."""
    app = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        help="From a trained PyTorch model that sees, hears and reads to live predictions on a "
        "Jetson or a desktop GPU, with proof at each step.",
    )
    app.callback(invoke_without_command=True)(_common)
    called = {name for name in arguments[:1] if name in COMMANDS}
    for name in called or COMMANDS:
        module, _, function = COMMANDS[name].partition(":")
        app.command(name)(getattr(importlib.import_module(module), function))
    return app


def _common(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from mmedge import __version__

        typer.echo(__version__)
        raise typer.Exit
