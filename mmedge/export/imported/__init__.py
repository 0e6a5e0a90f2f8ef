"""Encoders that exist only as an ONNX file: read, run as the reference, made like ours."""

from __future__ import annotations

from mmedge.export.imported.assembling import import_encoder
from mmedge.export.imported.file import OnnxFile

__all__ = ["OnnxFile", "import_encoder"]
