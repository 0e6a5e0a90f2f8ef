"""Examples of trained models, exported for a test."""

from __future__ import annotations

from pathlib import Path

from mmedge import Predictor
from mmedge.export import ExportConfig, export_bundle, load_recipe

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def made(name: str, folder: Path) -> Predictor:
    recipe = load_recipe(f"{EXAMPLES / name}.py:recipe")
    return Predictor(export_bundle(recipe, ExportConfig(out=folder / f"{name}.mmedge")).bundle)
