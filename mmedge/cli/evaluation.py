"""``mmedge eval``: every plan on labelled clips."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mmedge.cli.options import BackendOpt, BundleArg, JsonOpt, MetricOpt
from mmedge.errors import ProofError

__all__ = ["evaluate"]


def evaluate(
    bundle: BundleArg,
    data: Annotated[
        str,
        typer.Option(
            help="Labelled clips: JSON lines, a folder, a recording, or FILE.py:FUNCTION."
        ),
    ],
    plan: Annotated[
        list[str] | None,
        typer.Option(help="A plan beside fp32; repeat it. All that run here if left out."),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Column of the clips: each of its values on its own.")
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(help="Points that a plan may lose; ends with 7 if one is not proven to."),
    ] = None,
    metric: MetricOpt = None,
    backend: BackendOpt = "cpu",
    as_json: JsonOpt = False,
) -> None:
    """Measure every plan on labelled clips, with every subset of modalities.

    Example: [bold]mmedge eval guard.mmedge --data clips.jsonl --by speaker --max-drop 0.5[/]
    """
    from mmedge import views
    from mmedge.cli.tables import show_evaluation
    from mmedge.proof.plans import EvalConfig, evaluate_plans

    config = EvalConfig(
        bundle=bundle,
        data=data,
        plans=tuple(plan or ()),
        backend=backend,
        by=by,
        max_drop=max_drop,
        metric=metric,
    )
    with views.progress() as on_stage:
        found = evaluate_plans(config, on_stage)
    if as_json:
        typer.echo(json.dumps({"bundle": str(bundle), **found.to_json()}))
    else:
        show_evaluation(found)
    if found.failures:
        raise ProofError("\n".join(found.failures))
