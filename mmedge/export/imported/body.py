"""The file itself, in the form of bundles: folded, converted, batch free, ends as ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from mmedge.errors import ConfigError, IncompatibleError
from mmedge.export.imported.batch import free_batch
from mmedge.export.imported.file import OnnxFile
from mmedge.export.imported.folding import convert, settle
from mmedge.export.names import scope_of
from mmedge.operators import ALLOWED

__all__ = ["Port", "import_body"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """Where our graph and the file meet.

    Attributes:
        ours: name of the value in our graph, whose axis 0 is the batch.
        theirs: name of the file's input or output.
        example: a value of ours, ``[B, ...]``.
        order: how its axes are to be put for the file (or, from the file, for us).
    """

    ours: str
    theirs: str
    example: Tensor
    order: tuple[int, ...] | None = None


def import_body(file: OnnxFile, entries: Sequence[Port], exits: Sequence[Port]) -> onnx.ModelProto:
    """Make a graph of opset 20 of a file, whose inputs and outputs are ours.

    Raises:
        ConfigError: bytes are expected, and something else comes.
        IncompatibleError: something that TensorRT 10.3 does not import remains.
    """
    where = str(file.path)
    model = file.model()
    for node in model.graph.node:  # the conversion keeps names, but no metadata
        scope = scope_of(node)
        node.name = f"{scope}/{node.op_type}" if scope else node.name
    _pin(model.graph, file)
    _meet(model.graph, entries, exits, where)
    model = convert(settle(model, where), where)
    model = settle(free_batch(settle(model, where)), where)
    for node in model.graph.node:
        if node.op_type not in ALLOWED:
            more = " (whose condition depends on what comes in)" if node.op_type == "If" else ""
            raise IncompatibleError(
                f"{where}: node {node.name[:100]!r} needs the operator {node.op_type}{more}, which "
                "TensorRT 10.3 does not import. Export the file without it; an input that never "
                "changes can be fixed with OnnxFile(constants=...)."
            )
    return model


def _pin(graph: onnx.GraphProto, file: OnnxFile) -> None:
    """Fix the inputs that are constant; what older files list twice is no input."""
    for name, value in file.constants().items():
        graph.initializer.append(numpy_helper.from_array(value, name))
    del graph.value_info[:]


def _meet(
    graph: onnx.GraphProto, entries: Sequence[Port], exits: Sequence[Port], where: str
) -> None:
    """Put our inputs before the file's and our outputs after, and drop what is left over."""
    elements = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)}
    del graph.input[:], graph.output[:]
    before, after = [], []
    for port in entries:
        ours, shape = _element(port.example), ["batch", *port.example.shape[1:]]
        graph.input.append(helper.make_tensor_value_info(f"in:{port.ours}", ours, shape))
        theirs = elements[port.theirs]
        if theirs == TensorProto.UINT8:
            _check_bytes(graph, port, where)
            theirs = ours  # what it is cast to, it can be cast to from here as well
        before += _bridge(f"in:{port.ours}", port.theirs, port.order, ours, theirs)
    for port in exits:
        ours = _element(port.example)
        graph.output.append(helper.make_tensor_value_info(f"out:{port.ours}", ours, None))
        after += _bridge(port.theirs, f"out:{port.ours}", port.order, elements[port.theirs], ours)
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)


def _check_bytes(graph: onnx.GraphProto, port: Port, where: str) -> None:
    """TensorRT has no bytes inside a graph, so they have to be cast before anything else."""
    if any(port.theirs in node.input and node.op_type != "Cast" for node in graph.node):
        raise IncompatibleError(
            f"{where}: input {port.theirs!r} is uint8 and is not cast at once, which TensorRT does "
            "not import. Export the file with a float32 input."
        )
    if not (port.example == port.example.round().clamp(0, 255)).all():
        raise ConfigError(
            f"{where}: input {port.theirs!r} takes bytes, but the front-end gives other numbers; "
            "with Image(scale=1.0) it hands the pixels on as they are"
        )


def _bridge(
    source: str, target: str, order: tuple[int, ...] | None, came: int, wanted: int
) -> list[onnx.NodeProto]:
    """Turn axes and convert types, as far as needed, from one value to another."""
    steps: list[tuple[str, dict[str, Any]]] = []
    if order is not None:
        steps.append(("Transpose", {"perm": order}))
    if came != wanted:
        steps.append(("Cast", {"to": wanted}))
    nodes, current = [], source
    for index, (kind, attributes) in enumerate(steps or [("Identity", {})]):
        last = index + 1 >= len(steps)
        name = target if last else f"turned:{target}"
        nodes.append(helper.make_node(kind, [current], [name], name=kind, **attributes))
        current = name
    return nodes


def _element(example: Tensor) -> int:
    return helper.np_dtype_to_tensor_dtype(example.numpy().dtype)
