"""``mmedge calibrate``: plans of lower precision, or a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from mmedge.cli.options import BundleArg, ForceOpt, JsonOpt, MetricOpt

if TYPE_CHECKING:
    from mmedge.calibration import Calibration
    from mmedge.engines.trying import Tried

__all__ = ["calibrate"]


def calibrate(
    bundle: BundleArg,
    data: Annotated[
        str,
        typer.Option(
            help="Labelled samples: a list of clips (JSON lines), a folder, a recording, or "
            "FILE.py:FUNCTION."
        ),
    ],
    max_drop: Annotated[
        float, typer.Option(help="Points of the task's metric that a plan may lose.")
    ] = 0.5,
    target: Annotated[
        list[str] | None, typer.Option(help="'tensorrt' or 'cpu'; repeat it. Both if left out.")
    ] = None,
    precision: Annotated[
        str, typer.Option(help="'auto', or what is accepted only: 'int8', 'fp16' or 'mixed'.")
    ] = "auto",
    metric: MetricOpt = None,
    split_by: Annotated[
        str | None, typer.Option(help="Column whose values are never split between the parts.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="How long the search may take.")] = 30.0,
    accept_unproven: Annotated[
        bool,
        typer.Option(
            "--accept-unproven",
            help="Ship a plan within the limit that too few samples prove; the bundle says so.",
        ),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(help="FILE.html to write the report to; the bundle holds it as well."),
    ] = None,
    build: Annotated[
        bool,
        typer.Option(
            "--build/--no-build",
            help="Build and audit engines of a plan for TensorRT at the end, where that can be.",
        ),
    ] = True,
    force: ForceOpt = False,
    as_json: JsonOpt = False,
) -> None:
    """Lower a bundle to INT8 and FP16 as far as its accuracy on your clips allows, proven.

    Example: [bold]mmedge calibrate guard.mmedge --data clips.jsonl --max-drop 0.5[/]
    """
    from mmedge import views
    from mmedge.calibration import CalibrateConfig, note_engines
    from mmedge.calibration import calibrate as run
    from mmedge.calibration.config import Precision, Target
    from mmedge.cli.building import show_tried
    from mmedge.cli.tables import show_calibration

    config = CalibrateConfig(
        bundle=bundle,
        data=data,
        max_drop=max_drop,
        targets=cast("tuple[Target, ...]", tuple(target or get_args(Target))),
        precision=cast("Precision", precision),  # checked there
        metric=metric,
        split_by=split_by,
        minutes=minutes,
        accept_unproven=accept_unproven,
        replace=force,
        report=report,
    )
    with views.progress() as on_stage:
        found = run(config, on_stage)
    if not as_json:
        show_calibration(found)
        if report is not None:
            views.results().print(
                f"report: {report}", highlight=False, markup=False, soft_wrap=True
            )
    tried = None
    try:  # the plans are in the bundle, and are told of whatever becomes of the engines
        with views.progress() as on_stage:
            tried = _engines(found, on_stage) if build else None
        if tried is not None:
            found = note_engines(found, tried.to_json(), report)
    finally:
        if as_json:
            typer.echo(json.dumps(found.to_json()))
    if tried is None:
        return
    if not as_json:
        show_tried(tried)
    if tried.failure is not None:
        raise tried.failure


def _engines(found: Calibration, on_stage: Callable[[str], None]) -> Tried | None:
    """Try the new plan for TensorRT, if there is one."""
    from mmedge.engines.trying import try_engines

    made = [each.plan for each in found.outcomes if each.target == "tensorrt" and each.plan]
    return try_engines(found.bundle, made[0], on_stage) if made else None
