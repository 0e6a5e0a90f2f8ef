"""What ONNX Runtime makes of a graph: the kernels that it runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import onnxruntime as ort


def kernels(model: bytes, folder: Path) -> Counter[str]:
    """Operators after fusion, counted. Q/DQ among them were not fused."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    optimised = onnx.load_model(folder / "optimised.onnx")
    return Counter(each.op_type for each in optimised.graph.node)
