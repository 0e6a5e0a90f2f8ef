"""``mmedge bench``: what is fastest here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mmedge.cli.options import BundleArg, JsonOpt
from mmedge.errors import ConfigError, ProofError
from mmedge.views import results

if TYPE_CHECKING:
    from mmedge.proof.bench import Bench, Row

__all__ = ["bench"]


def bench(
    bundle: BundleArg,
    backend: Annotated[
        list[str] | None,
        typer.Option(help="A backend beside cpu; repeat it. All that run here if left out."),
    ] = None,
    plan: Annotated[
        list[str] | None,
        typer.Option(help="A plan beside fp32; repeat it. All that run here if left out."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="CPU threads of one operator; as 'serve' if left out.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="Turns of each backend and plan.")] = 20,
    picture: Annotated[Path | None, typer.Option(help="Draw it as well, into NAME.svg.")] = None,
    keep: Annotated[bool, typer.Option(help="Keep what is fastest, for --backend auto.")] = True,
    first_run: Annotated[
        bool,
        typer.Option("--first-run", help="Briefly, unless it was done: as --backend auto. JSON."),
    ] = False,
    as_json: JsonOpt = False,
) -> None:
    """Measure every backend and plan on this machine, side by side, and say which to take.

    Example: [bold]mmedge bench guard.mmedge[/]
    """
    from mmedge import views
    from mmedge.proof.bench import BenchConfig, bench_bundle
    from mmedge.proof.bench import first_run as brief
    from mmedge.proof.bench.picture import check_picture, draw_bench, write_picture

    if first_run:
        if backend or plan or threads or picture or rounds != 20 or not keep:
            raise ConfigError("--first-run measures as --backend auto does; leave out the rest")
        with views.progress() as on_stage:
            typer.echo(brief(bundle, on_stage).model_dump_json())
        return
    if picture is not None:
        check_picture(picture)
    config = BenchConfig(
        bundle=bundle,
        backends=tuple(backend or ()),
        plans=tuple(plan or ()),
        threads=threads,
        rounds=rounds,
        keep=keep,
    )
    with views.progress() as on_stage:
        found = bench_bundle(config, on_stage)
    if picture is not None:
        write_picture(picture, draw_bench(found))
    if as_json:
        typer.echo(json.dumps({"bundle": str(bundle), **found.to_json()}))
    else:
        show_bench(found)
    if found.best is None:
        raise ProofError(f"{bundle}: no backend gives the trained model's numbers here")


def show_bench(found: Bench) -> None:
    """Print what was found, and which to take."""
    out = results()
    _show_whole(found)
    _show_stages(found)
    for row in found.rows:
        if not row.verified:
            told = f"{row.backend} {row.plan} is not taken: {row.problem}"
            out.print(f"[red]not verified[/]: {escape(told)}", highlight=False, soft_wrap=True)
    for line in found.left_out:
        out.print(f"left out: {escape(line)}", highlight=False, soft_wrap=True)
    for plan, why in found.unfit.items():
        told = why.get("cpu", f"plan {plan} is not for {', '.join(why)}")
        out.print(f"left out: {escape(told)}", highlight=False, soft_wrap=True)
    for note in found.notes:
        out.print(f"note: {escape(note)}", highlight=False, soft_wrap=True)
    out.print(f"power: {escape(found.power)}", highlight=False, soft_wrap=True)
    out.print(f"record: {escape(found.kept)}", highlight=False, soft_wrap=True)
    best = found.best
    if best is not None:
        beside = f"which takes {best.ratio:.2f} of the time of {_named(found.rows[0])}"
        if best is found.rows[0]:
            beside = "since nothing else is faster here by a tenth"
        named = f"[bold]--backend {best.backend} --plan {best.plan}[/]"
        out.print(f"take: {named}, {beside}", highlight=False, soft_wrap=True)


def _show_whole(found: Bench) -> None:
    """One line for each backend and plan."""
    table = Table(
        title=escape(f"{found.name} on {found.machine}: a whole prediction, {found.rounds} rounds"),
        title_justify="left",
    )
    for column in ("backend", "plan"):
        table.add_column(column)
    powered = any(row.watts is not None for row in found.rows)
    for column in ("p50", "p95", "p99", "ratio", "per s", "memory", *(["power"] * powered), ""):
        table.add_column(column, justify="right")
    for row in found.rows:
        watts = ["" if row.watts is None else f"{row.watts:.1f} W"] if powered else []
        table.add_row(
            row.backend,
            row.plan,
            *(_ms(each["whole"]) for each in (row.p50_ms, row.p95_ms, row.p99_ms)),
            f"{row.ratio:.2f}",
            f"{row.per_s:.3g}",
            "" if row.peak_bytes is None else f"{row.peak_bytes / 2**20:.0f} MiB",
            *watts,
            _verdict(found, row),
        )
    results().print(table)


def _show_stages(found: Bench) -> None:
    """Where the time goes: the median of every stage."""
    table = Table(title="median of each stage, ms", title_justify="left")
    table.add_column("stage")
    for row in found.rows:
        table.add_column(escape(_named(row)), justify="right")
    for stage in found.rows[0].p50_ms:
        table.add_row(escape(stage), *(f"{row.p50_ms[stage]:.3g}" for row in found.rows))
    results().print(table)


def _verdict(found: Bench, row: Row) -> str:
    if not row.verified:
        return "[red]FAILED[/]"
    return "[green]fastest[/]" if row is found.best else ""


def _named(row: Row) -> str:
    return f"{row.backend} {row.plan}"


def _ms(number: float) -> str:
    return f"{number:.3g} ms" if number < 100 else f"{number:.0f} ms"
