"""Recipe -> graphs -> bundle. The only part, besides the models, that imports torch."""

from __future__ import annotations

from mmedge._optional import require

# Said here, once, so that nobody meets an ImportError from deep inside.
for _package in ("torch", "onnx", "onnxscript"):
    require(_package, extra="export", why="mmedge.export")

from mmedge.export.config import ExportConfig  # noqa: E402
from mmedge.export.exporter import Exported, export_bundle  # noqa: E402
from mmedge.export.imported import OnnxFile  # noqa: E402
from mmedge.export.loading import load_recipe  # noqa: E402
from mmedge.export.recipe import Encoder, Fusion, Recipe  # noqa: E402
from mmedge.export.state import State  # noqa: E402

__all__ = [
    "Encoder",
    "ExportConfig",
    "Exported",
    "Fusion",
    "OnnxFile",
    "Recipe",
    "State",
    "export_bundle",
    "load_recipe",
]
