"""From an ONNX file and a front-end of ours to one graph like all others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import onnx
import torch
from onnx import helper
from torch import Tensor, nn

from mmedge.export.graph import OURS, finish, to_onnx
from mmedge.export.imported.body import Port, import_body
from mmedge.export.names import mark_scope
from mmedge.operators import IR_VERSION, OPSET

if TYPE_CHECKING:
    from mmedge.export.encoders import EncoderGraph

__all__ = ["import_encoder"]

_INLINED = re.compile(r"^.*Inline_\d+__")


def import_encoder(
    graph: EncoderGraph, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor], tap: str
) -> onnx.ModelProto:
    """Put the front-end before an imported file, in one graph that bundles may hold.

    Args:
        graph: its encoder is an `OnnxFile`.
        inputs: name -> example, ``[B, ...]``.
        outputs: name -> what the graph gave for it, in order.
        tap: name that the front-end's output keeps inside the graph.

    Raises:
        ConfigError: the file has no such output.
        IncompatibleError: it cannot be brought into that form; the message says why.
        ResourceError: more than 2 GB.
    """
    file = graph.file
    if file is None:
        raise TypeError(f"{graph.what} is a module, not a file")
    front = _front(graph, inputs, tap)
    with torch.no_grad():
        given = graph.given(*inputs.values())
        keys = graph.keys(file(*(tensor[:1] for tensor in given)))
    sources = list(inputs) if front is None else [each.name for each in front.graph.output]
    entries = [
        Port(ours=source, theirs=name, example=tensor, order=file.order(tensor.ndim))
        for source, name, tensor in zip(sources, file.feeds(), given, strict=False)
    ]
    exits = [
        Port(ours=name, theirs=str(key), example=tensor)
        for key, (name, tensor) in zip(keys, outputs.items(), strict=True)
    ]
    body = import_body(file, entries, exits)
    model = _join(front, body, inputs, outputs, tap)
    finish(graph.what, model)
    return model


class _Front(nn.Module):
    """What of an encoder's graph stands before the encoder."""

    def __init__(self, graph: EncoderGraph) -> None:
        super().__init__()
        self.front_end = graph.front_end
        self._graph = [graph]  # in a list: its encoder is no part of this module

    def forward(self, *raw: Tensor) -> tuple[Tensor, ...]:
        return self._graph[0].given(*raw)


def _front(graph: EncoderGraph, inputs: Mapping[str, Tensor], tap: str) -> onnx.ModelProto | None:
    if graph.front_end is None:
        return None
    with torch.no_grad():
        count = len(graph.given(*inputs.values()))
    names = [tap, *(f"{tap}_{index}" for index in range(2, count + 1))]
    return to_onnx(f"the front-end of {graph.name!r}", _Front(graph), inputs, names)


def _join(
    front: onnx.ModelProto | None,
    body: onnx.ModelProto,
    inputs: Mapping[str, Tensor],
    outputs: Mapping[str, Tensor],
    tap: str,
) -> onnx.ModelProto:
    """Make one graph of both; every name that stays begins as `finish` wants it."""
    ends = {*inputs, *outputs, *({tap} if front is not None else ())}
    _claim(body.graph, ends, "encoder")
    parts = [body.graph]
    if front is not None:
        _claim(front.graph, ends, "")
        parts.insert(0, front.graph)
    graph = helper.make_graph(
        [node for part in parts for node in part.node],
        "mmedge",
        [_value(name, tensor) for name, tensor in inputs.items()],
        [_value(name, tensor) for name, tensor in outputs.items()],
        [tensor for part in parts for tensor in part.initializer],
    )
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)


def _claim(graph: onnx.GraphProto, ends: set[str], scope: str) -> None:
    """Keep the ends' names, set all others apart, and say where each node comes from."""
    new: dict[str, str] = {"": ""}
    for index, tensor in enumerate(graph.initializer):
        plain = re.fullmatch(r"[\w.-]{1,120}", tensor.name) and "." in tensor.name
        name = tensor.name if plain or not scope else f"val_{scope}_{index}"
        new[tensor.name] = f"{scope}.{name}" if scope and plain else name
    for node in graph.node:
        for name in (*node.input, *node.output):
            new.setdefault(name, _renamed(name, ends, scope))
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = new[name]
        mark_scope(node, _path(node, scope))
    for tensor in graph.initializer:
        tensor.name = new[tensor.name]


def _renamed(name: str, ends: set[str], scope: str) -> str:
    if not scope:
        return OURS + name if name in ends else f"front:{name}"
    side, _, end = name.partition(":")
    if side not in ("in", "out"):
        return f"{scope}:{name}"
    return OURS + end if end in ends else f"front:{end}"


def _path(node: onnx.NodeProto, scope: str) -> str:
    """Read a module path from the name that the exporter gave the node."""
    name = _INLINED.sub("", node.name).partition(";")[0].strip("/")
    parts = [re.sub(r"[^\w.-]", "_", part) for part in name.split("/")]
    if parts[-1].startswith(node.op_type) or len(parts) == 1:
        parts = parts[:-1]
    return ".".join([*([scope] if scope else []), *parts])[:120]


def _value(name: str, tensor: Tensor) -> Any:
    element = helper.np_dtype_to_tensor_dtype(tensor.numpy().dtype)
    return helper.make_tensor_value_info(OURS + name, element, ["batch", *tensor.shape[1:]])
