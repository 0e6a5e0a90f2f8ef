"""``mmedge build``: TensorRT engines of a bundle, and what is kept of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmedge.cli.options import JsonOpt
from mmedge.errors import ConfigError

if TYPE_CHECKING:
    from mmedge.engines import BuildConfig, BuildReport
    from mmedge.engines.cache import Entry
    from mmedge.engines.trying import Tried

__all__ = ["build", "show_tried"]

MIB = 2**20


def build(
    bundle: Annotated[
        Path | None, typer.Argument(help="Bundle folder, NAME.mmedge; none to list or clean.")
    ] = None,
    plan: Annotated[
        str, typer.Option(help="Which of the bundle's plans; 'auto': the lowest for TensorRT.")
    ] = "auto",
    max_batch: Annotated[
        int, typer.Option(help="Rows that one run of an engine takes, at most.")
    ] = 8,
    workspace_mib: Annotated[
        int | None, typer.Option(help="Scratch memory of one layer, at most; a quarter of all.")
    ] = None,
    dla: Annotated[
        int | None, typer.Option(help="Core of a Jetson's DLA, for encoders; with --max-batch 1.")
    ] = None,
    rtx: Annotated[
        bool, typer.Option("--rtx", help="With TensorRT-RTX, for --backend tensorrt-rtx.")
    ] = False,
    ahead_of_time: Annotated[
        str | None, typer.Option(help="Compile for this desktop GPU instead, such as 'sm86'.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for engines made ahead of time.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show the engines that are kept.")] = False,
    clean: Annotated[
        bool, typer.Option("--clean", help="Remove the engines that are kept.")
    ] = False,
    as_json: JsonOpt = False,
) -> None:
    """Compile a bundle for this machine's GPU with TensorRT, and audit what came out.

    Example: [bold]mmedge build guard.mmedge[/]
    """
    from mmedge.engines.config import BuildConfig

    if list_ or clean:
        if bundle is not None or list_ == clean:
            raise ConfigError("--list or --clean stands alone, without a bundle")
        _show_kept(clean=clean, as_json=as_json)
        return
    if bundle is None:
        raise ConfigError("which bundle? mmedge build NAME.mmedge")
    config = BuildConfig(
        plan=plan,
        max_batch=max_batch,
        workspace_bytes=None if workspace_mib is None else workspace_mib * MIB,
        dla_core=dla,
        rtx=rtx,
        ahead_of_time=ahead_of_time,
        out=out,
    )
    report = _build(bundle, config)
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    else:
        _show(report)


def _build(bundle: Path, config: BuildConfig) -> BuildReport:
    from mmedge import views
    from mmedge.bundle import open_bundle
    from mmedge.engines import build_engines
    from mmedge.runtime.measured import forget_first_run

    opened = open_bundle(bundle)
    with views.progress() as on_stage:
        report = build_engines(opened, config, say=on_stage)
    if not report.ahead_of_time:
        forget_first_run(opened)
    return report


def show_tried(tried: Tried) -> None:
    """Print the engines that a calibration has tried, or why there are none."""
    from mmedge import views

    if tried.report is not None:
        _show(tried.report)
    if tried.why:
        views.results().print(
            f"engines: {tried.why}", highlight=False, markup=False, soft_wrap=True
        )


def _show(report: BuildReport) -> None:
    from mmedge import views

    out = views.results()
    why = f" ({report.why})" if report.why else ""
    out.print(f"plan {report.plan}{why} for {report.where}", highlight=False, soft_wrap=True)
    out.print(_table(report))
    for engine in report.engines:
        for note in engine.notes:
            out.print(f"note: {engine.graph}: {note}", highlight=False, markup=False)
    if report.ahead_of_time:
        out.print(
            "Compiled without that GPU: valid for NVIDIA's compiler, and never run.",
            highlight=False,
        )


def _table(report: BuildReport) -> Any:
    from rich.table import Table

    table = Table(title="engines, and what their products compute in", title_justify="left")
    table.add_column("graph")
    for column in ("size", "built in", "Int8", "Half", "Float", "attention in one"):
        table.add_column(column, justify="right")
    for each in report.engines:
        counts = [str(each.audit.precisions.get(name, "")) for name in ("Int8", "Half", "Float")]
        fused = f"{each.audit.fused} of {each.audit.attentions}" if each.audit.attentions else ""
        took = f"{each.seconds:.1f} s" + (", kept" if each.kept else "")
        table.add_row(each.graph, f"{each.bytes / 1e6:.2f} MB", took, *counts, fused)
    return table


def _show_kept(*, clean: bool, as_json: bool) -> None:
    from mmedge import views
    from mmedge.engines.cache import EngineCache

    cache = EngineCache()
    entries = cache.clean() if clean else cache.entries()
    if as_json:
        rows = [_entry(each) for each in entries]
        typer.echo(json.dumps({"folder": str(cache.folder), "removed": clean, "engines": rows}))
        return
    for each in entries:
        typer.echo(f"{each.bytes / 1e6:9.2f} MB  {_words(each)}")
    total = sum(each.bytes for each in entries) / 1e6
    done = "removed from" if clean else "in"
    views.results().print(
        f"{len(entries)} engines, {total:.2f} MB, {done} {cache.folder}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _words(entry: Entry) -> str:
    if entry.head is None:
        return f"not to be used: {entry.problem}"
    request = entry.head.request
    return f"{request.graph}, plan {request.plan}, for {request.place}"


def _entry(entry: Entry) -> dict[str, Any]:
    """Give plain types."""
    return {
        "file": str(entry.path),
        "bytes": entry.bytes,
        "problem": entry.problem,
        "request": None if entry.head is None else entry.head.request.to_json(),
    }
