"""Predictions from files on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mmedge.cli.options import (
    BackendOpt,
    BundleArg,
    DownmixOpt,
    EveryOpt,
    JsonOpt,
    PlanOpt,
    TextOpt,
)

__all__ = ["predict"]


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
    from mmedge.runtime.choosing import choose
    from mmedge.runtime.offline import downmixed, predict_inputs
    from mmedge.runtime.predictor import Predictor

    opened = downmixed(open_bundle(bundle), downmix)
    choice = choose(opened, backend, plan, measure=True)  # a first run says so, and takes a while
    if choice.why:
        typer.echo(f"mmedge: {choice}", err=True)
    with views.waiting("open"):
        predictor = Predictor(
            opened,
            backend=choice.backend,
            plan=choice.plan,
            prompts=prompts,
            template=template or "{}",
        )
    with predictor:
        predictions = views.watched(
            predict_inputs(predictor, inputs or [], text=text, clips=clips, every_ms=every_ms)
        )
        if as_json:
            for each in predictions:
                typer.echo(json.dumps(each.to_json()))
        else:
            views.show_predictions(predictions)
