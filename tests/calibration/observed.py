"""Where the values of a graph lie on some inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto

from mmedge.calibration.lowering import Range
from mmedge.calibration.observing import Observer
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
    observer = Observer(model, values_to_observe(model))
    for each in feeds:
        observer.add(each)
    return {name: each.extremes for name, each in observer.histograms.items()}


def drawn(model: bytes, batch: int) -> dict[str, NDArray[Any]]:
    """Inputs of the right shapes and types; every second row has all its modalities.

    Ids are below 8, the size of the tests' smallest vocabulary; masks are of 0 and 1.
    """
    generator = np.random.default_rng(batch)
    found: dict[str, NDArray[Any]] = {}
    for each in onnx.load_from_string(model).graph.input:
        shape = (batch, *(d.dim_value for d in each.type.tensor_type.shape.dim[1:]))
        kind = each.type.tensor_type.elem_type
        if kind == TensorProto.FLOAT:
            found[each.name] = generator.normal(0, 0.3, shape).astype(np.float32)
        elif kind == TensorProto.UINT8:
            found[each.name] = generator.integers(0, 256, shape, np.uint8)
        elif kind == TensorProto.BOOL:
            found[each.name] = generator.random(shape) < 0.7
            found[each.name][::2] = True
        else:
            found[each.name] = generator.integers(0, 2 if "mask" in each.name else 8, shape)
            found[each.name][:, :1] = 1
    return found


def cosine(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The least cosine of a row with its counterpart; rows of nothing but 0 are alike."""
    rows = [np.asarray(each, np.float64).reshape(len(each), -1) for each in (one, other)]
    lengths = [np.linalg.norm(each, axis=1) for each in rows]
    empty = (lengths[0] == 0) & (lengths[1] == 0)
    dots = (rows[0] * rows[1]).sum(axis=1)
    return float(np.min(np.where(empty, 1, dots / np.where(empty, 1, lengths[0] * lengths[1]))))
