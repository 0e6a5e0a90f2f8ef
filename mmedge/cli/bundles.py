"""Bundles on the command line: export, verify, inspect."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from mmedge.cli.options import BackendOpt, BundleArg, ForceOpt, JsonOpt, PlanOpt
from mmedge.errors import ProofError

__all__ = ["export", "inspect", "verify"]

Golden = Literal["seeded", "clips"]


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
