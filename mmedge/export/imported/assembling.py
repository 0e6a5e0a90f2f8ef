"""From an ONNX file and a front-end of ours to one graph like all others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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
        keys = graph.keys(graph.call(*(tensor[:1] for tensor in inputs.values())))
    states = {state.input: state for state in graph.own_states}
    sources = list(inputs) if front is None else [each.name for each in front.graph.output]
    entries = [
        Port(ours=source, theirs=name, example=tensor, order=file.order(tensor.ndim))
        for source, name, tensor in zip(sources, file.feeds(list(states)), given, strict=False)
    ]
    for state in graph.own_states:
        ours, order = state.tensors[0], _moved(len(state.row) + 1, 0, state.axis)
        entries.append(Port(ours=ours, theirs=state.input, example=inputs[ours], order=order))
    exits = _exits(graph, keys, outputs)
    body = import_body(file, entries, exits)
    model = _join(front, body, inputs, outputs, tap)
    finish(graph.what, model)
    return model


def _exits(
    graph: EncoderGraph, keys: Sequence[str | int], outputs: Mapping[str, Tensor]
) -> list[Port]:
    """Where the file's outputs become ours; the next context comes from the front-end."""
    turns = {
        state.tensors[1]: _moved(len(state.row) + 1, state.axis, 0) for state in graph.own_states
    }
    ours = [name for name in outputs if name not in _contexts(graph)]
    return [
        Port(ours=name, theirs=str(key), example=outputs[name], order=turns.get(name))
        for key, name in zip(keys, ours, strict=True)
    ]


def _contexts(graph: EncoderGraph) -> list[str]:
    """The graph's outputs that are no output of the file."""
    own = {state.name for state in graph.own_states}
    return [state.tensors[1] for state in graph.states if state.name not in own]


def _moved(dimensions: int, source: int, target: int) -> tuple[int, ...] | None:
    """Give the order of axes when one of them moves; ``None`` if it stays."""
    axes = list(range(dimensions))
    axes.insert(target, axes.pop(source))
    return tuple(axes) if source != target else None


class _Front(nn.Module):
    """What of an encoder's graph stands before the encoder."""

    def __init__(self, graph: EncoderGraph) -> None:
        super().__init__()
        self.front_end, self.context = graph.front_end, graph.context
        self._graph = [graph]  # in a list: its encoder is no part of this module
        own = {state.tensors[0] for state in graph.own_states}
        self._rest = [each for name, each in graph.initial(1).items() if name in own]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        graph, whole = self._graph[0], (*inputs, *self._rest)  # which it does not look at
        return (*graph.given(*whole), *graph.next_context(*whole))


def _front(graph: EncoderGraph, inputs: Mapping[str, Tensor], tap: str) -> onnx.ModelProto | None:
    contexts = _contexts(graph)
    if graph.front_end is None and not contexts:
        return None
    own = {state.tensors[0] for state in graph.own_states}
    needed = {name: tensor for name, tensor in inputs.items() if name not in own}
    with torch.no_grad():
        count = len(graph.given(*inputs.values()))
    first = "given" if graph.front_end is None else tap
    names = [first, *(f"{first}_{index}" for index in range(2, count + 1)), *contexts]
    return to_onnx(f"the front-end of {graph.name!r}", _Front(graph), needed, names)


def _join(
    front: onnx.ModelProto | None,
    body: onnx.ModelProto,
    inputs: Mapping[str, Tensor],
    outputs: Mapping[str, Tensor],
    tap: str,
) -> onnx.ModelProto:
    """Make one graph of both; every name that stays begins as `finish` wants it."""
    ends = {*inputs, *outputs, tap}
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
        name = _INLINED.sub("", tensor.name)
        plain = re.fullmatch(r"[\w.-]{1,120}", name) and "." in name  # a parameter's path
        own = f"{scope}.{name}" if scope else tensor.name
        # Any other is named after its use.
        kept = plain and own not in new.values()
        new[tensor.name] = own if kept or not scope else f"val_{scope}_{index}"
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
