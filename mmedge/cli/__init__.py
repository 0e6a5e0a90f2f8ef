"""The command line: every command parses, calls one function, prints."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from mmedge.cli.calibration import calibrate
from mmedge.cli.doctoring import doctor
from mmedge.cli.ending import Commands, fail
from mmedge.cli.evaluation import evaluate
from mmedge.cli.live import devices, record, serve
from mmedge.cli.options import (
    BackendOpt,
    BundleArg,
    DownmixOpt,
    EveryOpt,
    ForceOpt,
    JsonOpt,
    PlanOpt,
    TextOpt,
)
from mmedge.cli.retrieval import gallery, search
from mmedge.errors import MmedgeError, ProofError

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="From a trained PyTorch model that sees, hears and reads to live predictions on a "
    "Jetson or a desktop GPU, with proof at each step.",
)

Golden = Literal["seeded", "clips"]


def main() -> None:
    """Run the command line; every error that is not a bug is one message and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a letter shows another
            stream.reconfigure(errors="replace")
    logging.basicConfig(level=logging.WARNING, format="mmedge: %(message)s", stream=sys.stderr)
    try:
        app(prog_name="mmedge")
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


@app.callback(invoke_without_command=True)
def _common(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from mmedge import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.command()
def export(
    recipe: Annotated[str, typer.Argument(help="FILE.py:FUNCTION or PACKAGE.MODULE:FUNCTION.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Bundle to write, NAME.mmedge.")],
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "-w", "--weights", help="Trained weights: FILE, or NAME=FILE for one encoder or fusion."
        ),
    ] = None,
    clips: Annotated[
        Path | None, typer.Option(help="JSON lines of real samples to prove the graphs on.")
    ] = None,
    golden: Annotated[
        str, typer.Option(help="What travels with the bundle: 'seeded' noise, or your 'clips'.")
    ] = "seeded",
    samples: Annotated[int, typer.Option(help="Golden samples in the bundle.")] = 4,
    only: Annotated[
        str | None,
        typer.Option(help="Replace one encoder, or 'fusion', in the bundle; give all weights."),
    ] = None,
    force: ForceOpt = False,
    as_json: JsonOpt = False,
) -> None:
    """Turn a trained torch model into a bundle, proven equal on raw inputs.

    Example: [bold]mmedge export train/model.py:recipe -w model.safetensors -o guard.mmedge[/]
    """
    from mmedge import views
    from mmedge.export import ExportConfig, export_bundle, load_recipe

    # What the user's own code prints is a message; stdout holds the result.
    with contextlib.redirect_stdout(sys.stderr), views.progress() as on_stage:
        on_stage("recipe")
        exported = export_bundle(
            load_recipe(recipe),
            ExportConfig(
                out=out,
                weights=tuple(weights or ()),
                clips=clips,
                golden=cast("Golden", golden),  # checked there
                samples=samples,
                replace=force,
                only=only,
            ),
            on_stage,
        )
    if as_json:
        typer.echo(json.dumps({"bundle": str(out), "parity": exported.parity.to_json()}))
    else:
        views.show_parity(exported.parity, title=f"{out}: parity with the trained model")


@app.command()
def verify(
    bundle: BundleArg, backend: BackendOpt = "cpu", plan: PlanOpt = "fp32", as_json: JsonOpt = False
) -> None:
    """Repeat a bundle's proof on this machine.

    Example: [bold]mmedge verify guard.mmedge[/]
    """
    from mmedge import views
    from mmedge.bundle import open_bundle
    from mmedge.proof import verify as run

    with views.progress() as on_stage:
        on_stage("verify")
        parity = run(open_bundle(bundle), backend=backend, plan=plan)
    if as_json:
        typer.echo(json.dumps(parity.to_json()))
    else:
        views.show_parity(parity, title=f"{bundle}: {parity.plan} on {parity.backend}")
    if not parity.passed:
        worst = parity.worst
        raise ProofError(
            f"{bundle} does not give the trained model's numbers here: {worst.point} "
            f"{worst.subset} is {worst.ratio:.3g} times as far off as plan {parity.plan!r} allows"
        )


@app.command()
def inspect(bundle: BundleArg, as_json: JsonOpt = False) -> None:
    """Show what is in a bundle, after checking every file's hash.

    Example: [bold]mmedge inspect guard.mmedge[/]
    """
    from mmedge import views
    from mmedge.bundle import open_bundle

    opened = open_bundle(bundle)
    with views.waiting("check"):
        opened.check()
    if as_json:
        typer.echo(opened.manifest.model_dump_json())
    else:
        views.show_bundle(opened)


@app.command()
def predict(
    bundle: BundleArg,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(help="Files (picture, sound, video, CSV, NPY), NAME=FILE, or NAME=TEXT."),
    ] = None,
    text: TextOpt = None,
    clips: Annotated[
        Path | None, typer.Option(help="JSON lines, one clip each, instead of files.")
    ] = None,
    prompts: Annotated[
        list[str] | None, typer.Option(help="A text to choose from, in a matching task; repeat it.")
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(
            help="Sentence around each prompt, with {} in its place; repeat it: the mean."
        ),
    ] = None,
    every_ms: EveryOpt = 250,
    downmix: DownmixOpt = None,
    backend: BackendOpt = "auto",
    plan: PlanOpt = "auto",
    as_json: JsonOpt = False,
) -> None:
    """Predict from files; along a long one, window by window.

    Example: [bold]mmedge predict guard.mmedge clip.mp4 --text "front door"[/]
    """
    from mmedge import views
    from mmedge.bundle import open_bundle
    from mmedge.runtime.offline import downmixed, predict_inputs
    from mmedge.runtime.predictor import Predictor

    opened = downmixed(open_bundle(bundle), downmix)
    with views.waiting("open"):
        predictor = Predictor(
            opened, backend=backend, plan=plan, prompts=prompts, template=template or "{}"
        )
    with predictor:
        if predictor.choice.why:
            typer.echo(f"mmedge: {predictor.choice}", err=True)
        predictions = views.watched(
            predict_inputs(predictor, inputs or [], text=text, clips=clips, every_ms=every_ms)
        )
        if as_json:
            for each in predictions:
                typer.echo(json.dumps(each.to_json()))
        else:
            views.show_predictions(predictions)


app.command("eval")(evaluate)
for command in (calibrate, gallery, search, serve, record, devices, doctor):
    app.command()(command)


@app.command()
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
