"""Retrieval on the command line: fill a gallery, search it."""

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
    ForceOpt,
    JsonOpt,
    PlanOpt,
    TextOpt,
)

__all__ = ["gallery", "search"]


def gallery(
    bundle: BundleArg,
    out: Annotated[Path, typer.Option("-o", "--out", help="Gallery to write, NAME.gallery.")],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(help="Files (picture, sound, video, CSV, NPY), NAME=FILE, or NAME=TEXT."),
    ] = None,
    texts: Annotated[
        Path | None, typer.Option(help="A file with a text per line, for the text modality.")
    ] = None,
    clips: Annotated[
        Path | None, typer.Option(help="JSON lines, one clip each; every file is an entry.")
    ] = None,
    every_ms: EveryOpt = 250,
    downmix: DownmixOpt = None,
    force: ForceOpt = False,
    backend: BackendOpt = "cpu",
    plan: PlanOpt = "fp32",
    as_json: JsonOpt = False,
) -> None:
    """Encode files into a gallery to search in; along a long one, window by window.

    It holds their names and embeddings, not the files. Example:
    [bold]mmedge gallery shop.mmedge photos/*.jpg -o shop.gallery[/]
    """
    from mmedge import views
    from mmedge.bundle import open_bundle
    from mmedge.runtime.offline import downmixed
    from mmedge.runtime.predictor import Predictor
    from mmedge.runtime.retrieval.gallery import check_place, save_gallery
    from mmedge.runtime.retrieval.items import read_items
    from mmedge.runtime.retrieval.search import build_gallery

    check_place(out, replace=force)
    opened = downmixed(open_bundle(bundle), downmix)
    with views.counting() as on_count, Predictor(opened, backend=backend, plan=plan) as predictor:
        items = read_items(
            opened.manifest.modalities, inputs or (), texts=texts, clips=clips, every_ms=every_ms
        )
        made = build_gallery(predictor, items, on_count)
    save_gallery(made, out, replace=force)
    if as_json:
        entries = {name: len(table.names) for name, table in made.tables.items()}
        typer.echo(json.dumps({"gallery": str(out), "entries": entries}))
    else:
        views.show_gallery(made, out)


def search(
    bundle: BundleArg,
    gallery: Annotated[Path, typer.Argument(help="From 'mmedge gallery', of the same bundle.")],
    query: Annotated[str | None, typer.Argument(help="FILE, NAME=FILE or NAME=TEXT.")] = None,
    text: TextOpt = None,
    top: Annotated[int, typer.Option(help="How many hits.")] = 5,
    among: Annotated[
        str | None, typer.Option(help="Modality of the entries, where several could be meant.")
    ] = None,
    downmix: DownmixOpt = None,
    backend: BackendOpt = "cpu",
    plan: PlanOpt = "fp32",
    as_json: JsonOpt = False,
) -> None:
    """Find in a gallery what is closest to a file or a text.

    Example: [bold]mmedge search shop.mmedge shop.gallery --text "a red bicycle"[/]
    """
    from mmedge import views
    from mmedge.bundle import open_bundle
    from mmedge.runtime import retrieval
    from mmedge.runtime.offline import downmixed
    from mmedge.runtime.predictor import Predictor
    from mmedge.runtime.retrieval.gallery import open_gallery
    from mmedge.runtime.retrieval.items import read_query

    with views.waiting("search"):
        opened = downmixed(open_bundle(bundle), downmix)
        entries = open_gallery(gallery, opened)
        windows = read_query(opened.manifest.modalities, query, text=text)
        with Predictor(opened, backend=backend, plan=plan) as predictor:
            hits = retrieval.search(predictor, entries, windows, top=top, among=among)
    if as_json:
        for hit in hits:
            typer.echo(json.dumps(hit.to_json()))
    else:
        views.show_hits(hits)
