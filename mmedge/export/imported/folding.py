"""Fold what is constant, take the branch that is always taken, drop what nobody reads."""

from __future__ import annotations

import math

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from mmedge.errors import IncompatibleError, ResourceError
from mmedge.export.graph import quiet
from mmedge.operators import OPSET

__all__ = ["constants_of", "convert", "settle"]

MAX_ROUNDS = 20
MAX_FOLDED = 2**26
"""Elements of a folded constant: a file that grows beyond that when folded is not folded."""


def settle(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """Fold until nothing changes: shapes make constants, those choose branches, and so on."""
    from onnxscript import optimizer

    for _ in range(MAX_ROUNDS):
        before = [node.SerializeToString(deterministic=True) for node in model.graph.node]
        try:
            with quiet():
                del model.graph.value_info[:]
                model = onnx.shape_inference.infer_shapes(model, data_prop=True)
                _fill_constants(model.graph)
                model = optimizer.optimize(
                    model, input_size_limit=2**28, output_size_limit=MAX_FOLDED
                )
        except MemoryError as exc:
            raise ResourceError(f"{where}: its constants do not fit into memory") from exc
        except Exception as exc:  # a file from anywhere: the optimizer fails in any way
            reason = str(exc).strip().partition("\n")[0][:300]
            raise IncompatibleError(f"{where} cannot be simplified: {reason}") from exc
        if [node.SerializeToString(deterministic=True) for node in model.graph.node] == before:
            break
    _prune(model.graph)
    return model


def convert(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """Bring a model to the opset of bundles.

    Raises:
        IncompatibleError: an operator has no form there.
    """
    versions = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")]
    if versions != [OPSET]:
        try:
            model = onnx.version_converter.convert_version(model, OPSET)
        except Exception as exc:  # its errors come from C++
            reason = str(exc).strip().partition("\n")[0][:300]
            raise IncompatibleError(
                f"{where} has opset {versions[0]} and cannot be brought to {OPSET}: {reason}. "
                f"Export the file with opset {OPSET}."
            ) from exc
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    return model


def constants_of(graph: onnx.GraphProto) -> dict[str, NDArray[np.generic]]:
    """Give the values that are known, by name."""
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            known[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return known


def _fill_constants(graph: onnx.GraphProto) -> None:
    """Do what the optimizer leaves alone: ConstantOfShape of a known shape, idle Dropout."""
    known = constants_of(graph)
    for node in graph.node:
        if node.op_type == "ConstantOfShape" and node.input[0] in known:
            shape = [int(size) for size in np.ravel(known[node.input[0]])]
            if math.prod(shape) <= MAX_FOLDED:
                value = numpy_helper.to_array(node.attribute[0].t)[0] if node.attribute else 0.0
                full = np.full(shape, value, None if node.attribute else np.float32)
                _become_constant(node, full)
        elif node.op_type == "Dropout" and len(node.output) < 3:
            training = known.get(node.input[2]) if len(node.input) > 2 else None
            if training is None or not training:
                node.op_type = "Identity"
                del node.input[1:], node.output[1:], node.attribute[:]


def _become_constant(node: onnx.NodeProto, value: NDArray[np.generic]) -> None:
    node.op_type = "Constant"
    del node.input[:], node.attribute[:]
    tensor = numpy_helper.from_array(value)
    node.attribute.append(onnx.helper.make_attribute("value", tensor))


def _prune(graph: onnx.GraphProto) -> None:
    """Drop initializers that no node and no output reads."""
    read = {name for node in graph.node for name in node.input}
    read |= {value.name for value in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
