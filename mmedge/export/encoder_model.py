"""One encoder -> its graph: traced by torch, or made of the file that it is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmedge.errors import IncompatibleError, MmedgeError
from mmedge.export.encoders import EncoderGraph
from mmedge.export.graph import to_onnx
from mmedge.export.imported import import_encoder
from mmedge.manifest import FRONT_END
from mmedge.proof.parity import FP32, compare
from mmedge.runtime.backends import open_backend

__all__ = ["encoder_model", "pair"]

Array = NDArray[np.generic]


def encoder_model(graph: EncoderGraph, inputs: Mapping[str, Array]) -> onnx.ModelProto:
    """Make the graph of one encoder.

    Args:
        graph: the encoder, with its front-end.
        inputs: graph input -> ``[S, ...]``.

    Raises:
        IncompatibleError: it cannot become a graph that bundles may hold.
        ResourceError: more than 2 GB of weights.
    """
    given = {**pair(inputs), **graph.initial(2)}
    with torch.no_grad():
        outputs = graph.outputs(graph(*given.values()))
    if graph.file is None:
        taps = {} if graph.front_end is None else {FRONT_END: FRONT_END}
        return to_onnx(graph.what, graph, given, list(outputs), taps)
    model = import_encoder(graph, given, outputs, FRONT_END)
    _refuse_fixed_batch(graph, model, given, outputs)
    return model


def pair(inputs: Mapping[str, Array]) -> dict[str, Tensor]:
    """Give an example batch of 2: a batch of 1 would be taken for a constant."""
    return {name: torch.from_numpy(np.resize(a, (2, *a.shape[1:]))) for name, a in inputs.items()}


def _refuse_fixed_batch(
    graph: EncoderGraph,
    model: onnx.ModelProto,
    inputs: Mapping[str, Tensor],
    outputs: Mapping[str, Tensor],
) -> None:
    """Say early, and in words about the file, that it cannot take two rows."""
    try:
        with open_backend("cpu", model.SerializeToString(), what=graph.what) as backend:
            came = backend.run({name: tensor.numpy() for name, tensor in inputs.items()})
    except MmedgeError as exc:
        reason = str(exc)
    else:
        wrong = [
            name
            for name, tensor in outputs.items()
            if not compare(name, tensor.numpy(), came[name], FP32["cpu"], batch=2).passed
        ]
        if not wrong:
            return
        reason = f"{wrong[0]!r} of two rows is not that of each"
    raise IncompatibleError(
        f"{graph.what}: the batch of the ONNX file cannot be made dynamic ({reason}). Export the "
        "file with a dynamic batch: the first dimension of its inputs without a number."
    )
