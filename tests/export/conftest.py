"""Bundles that several tests look at are exported once per session."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Give ``exported(head, tokens)``: the exported bundle of a model with that head.

    With MMEDGE_KEEP_BUNDLES set, every bundle of the session is copied into that folder,
    so that the `rtx` tier can compile them and another machine verify them.
    """
    from mmedge.export import ExportConfig, export_bundle
    from tests.export.recipes import seeing_hearing_reading

    folder = tmp_path_factory.mktemp("exported")
    known: dict[str, Any] = {}

    def export(head: type, *, tokens: bool) -> Any:
        name = f"{head.__name__.lower()}-{'tokens' if tokens else 'pooled'}"
        if name not in known:
            recipe = seeing_hearing_reading(head, tokens=tokens)
            known[name] = export_bundle(recipe, ExportConfig(out=folder / f"{name}.mmedge"))
        return known[name]

    return export


@pytest.fixture(scope="session", autouse=True)
def kept_bundles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Copy what the session exported, at its end."""
    yield
    if kept := os.environ.get("MMEDGE_KEEP_BUNDLES"):
        keep_bundles(tmp_path_factory.getbasetemp(), Path(kept))


def keep_bundles(source: Path, target: Path) -> None:
    """Copy every bundle below ``source``, each under a name of its own."""
    for manifest in sorted(source.rglob("*.mmedge/manifest.json")):
        parts = manifest.parent.relative_to(source).parts
        shutil.copytree(manifest.parent, target / "_".join(parts), dirs_exist_ok=True)
