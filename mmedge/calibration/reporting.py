"""The reports that a bundle gets of its calibration, and later of the engines of its plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmedge.bundle import Bundle, file_ref, open_bundle, save_bundle, writing
from mmedge.calibration.outcome import Calibration
from mmedge.calibration.report import draw_page
from mmedge.errors import ConfigError
from mmedge.proof.drawing.writing import write_page

__all__ = ["note_engines", "report_texts"]


def report_texts(found: Calibration) -> dict[str, tuple[str, str]]:
    """Give what a bundle keeps of what was found: name of the report -> suffix, content."""
    return {
        "calibration": (".json", json.dumps(found.to_json(), indent=1)),
        "calibration_page": (".html", draw_page(found)),
    }


def note_engines(
    found: Calibration, engines: Mapping[str, Any], page: Path | None = None
) -> Calibration:
    """Put what came of a plan's engines into the reports of the bundle that has the plan.

    The plan is in the bundle before its engines are tried, so that what ends these takes
    nothing back; hence its reports are written a second time.

    Args:
        found: with the bundle as it was saved.
        engines: what came of them, as `mmedge.engines.trying.Tried` gives it as JSON.
        page: HTML file for the page, as well.

    Raises:
        ConfigError: the bundle was changed meanwhile, or cannot be written.
        ResourceError: the disk is full.
    """
    folder = found.bundle.path
    if folder is None:
        raise RuntimeError("a bundle in memory has no reports to be written")
    told = replace(found, engines=engines)
    with writing(folder):
        if open_bundle(folder).digest != found.bundle.digest:
            raise ConfigError(
                f"{folder} was changed while its engines were tried: they are not in its report"
            )
        saved = save_bundle(_with(found.bundle, report_texts(told)), folder, replace=True)
    if page is not None:
        write_page(page, draw_page(told))
    return replace(told, bundle=saved)


def _with(bundle: Bundle, texts: Mapping[str, tuple[str, str]]) -> Bundle:
    contents = {name: text.encode() for name, (_, text) in texts.items()}
    refs = {name: file_ref(name, texts[name][0], data) for name, data in contents.items()}
    reports = {**bundle.manifest.reports, **refs}
    new = {ref.name: contents[name] for name, ref in refs.items()}
    manifest = bundle.manifest.model_copy(update={"reports": reports})
    return Bundle.in_memory(manifest, {**bundle.files, **new})
