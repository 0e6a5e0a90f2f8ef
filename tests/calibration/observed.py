"""Where the values of a graph lie on some inputs: it is run with all of them as outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from mmedge.calibration.lowering import Range
from mmedge.calibration.rewrite.fp16 import values_to_observe

Feeds = Mapping[str, NDArray[Any]]


def session(model: bytes) -> Any:
    """A session that computes what Q/DQ nodes say, and nothing else."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def observe(model: bytes, *feeds: Feeds) -> dict[str, Range]:
    """Finite extremes of every value that `lower_fp16` asks for; masks left out."""
    wanted = values_to_observe(model)
    file = onnx.load_from_string(model)
    inputs = {each.name for each in file.graph.input}
    made = [name for name in wanted if name not in inputs]
    del file.graph.output[:]
    file.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in made)
    runner = session(file.SerializeToString())
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in wanted}
    for each in feeds:
        for name, array in {**each, **dict(zip(made, runner.run(made, each), strict=True))}.items():
            if name in parts:
                parts[name].append(np.ravel(array).astype(np.float64))
    return {name: _range(np.concatenate(arrays)) for name, arrays in parts.items()}


def _range(values: NDArray[np.float64]) -> Range:
    values = values[np.isfinite(values) & (np.abs(values) < 1e30)]
    parts = np.abs(values[values != 0])
    return Range(
        float(values.min(initial=0)),
        float(values.max(initial=0)),
        float(parts.min()) if parts.size else 0.0,
    )


def cosine(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The least cosine of a row with its counterpart."""
    rows = [np.asarray(each, np.float64).reshape(len(each), -1) for each in (one, other)]
    dots = (rows[0] * rows[1]).sum(axis=1)
    return float(np.min(dots / np.prod([np.linalg.norm(each, axis=1) for each in rows], axis=0)))
