"""Names that a person can read, from the module path that each node came from."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping

import onnx

__all__ = ["mark_scope", "rename", "scope_of"]

_SCOPES = "pkg.torch.onnx.name_scopes"


def rename(graph: onnx.GraphProto, strip: str, ours: str) -> bool:
    """Name nodes ``module.path/Operator``, values after their node, constants after their use.

    Args:
        graph: changed in place; its nodes still carry the exporter's metadata.
        strip: prefix of module paths that is ours, not the user's.
        ours: prefix of inputs, outputs and tapped values, which keep the rest of their name.

    Returns:
        Whether anything was renamed.
    """
    names = _node_names(graph, strip)
    values: dict[str, str] = {}
    for node, name in zip(graph.node, names, strict=True):
        node.name = name
        for index, output in enumerate(node.output):
            if output:
                values[output] = node.name if index == 0 else f"{node.name}:{index}"
    values |= _constant_names(graph, strip)
    ends = [value.name for value in (*graph.input, *graph.output)]
    known = {*values, *ends, *(name for node in graph.node for name in node.input)}
    values |= {name: name.removeprefix(ours) for name in known if name.startswith(ours)}
    for node in graph.node:
        _replace(node.input, values)
        _replace(node.output, values)
    for named in (*graph.initializer, *graph.input, *graph.output):
        named.name = values.get(named.name, named.name)
    return bool(values)


def scope_of(node: onnx.NodeProto, strip: str = "") -> str:
    """Path of the module that the node came from, as far as the exporter recorded it."""
    scopes = next((p.value for p in node.metadata_props if p.key == _SCOPES), "[]")
    path = [str(part) for part in ast.literal_eval(scopes)]
    # The last part is the operation; one that is no module path stands for the exporter.
    scope = path[-2] if len(path) > 1 else ""
    # The wrapper's own scope is the prefix without its dot.
    return "" if scope.startswith("_empty") else f"{scope}.".removeprefix(strip).removesuffix(".")


def mark_scope(node: onnx.NodeProto, path: str) -> None:
    """Record a module path as the exporter does, in place of what was recorded."""
    del node.metadata_props[:]
    node.metadata_props.add(key=_SCOPES, value=str([path, "node"]))


def _node_names(graph: onnx.GraphProto, strip: str) -> list[str]:
    seen: Counter[str] = Counter()
    names = []
    for node in graph.node:
        scope = scope_of(node, strip)
        name = f"{scope}/{node.op_type}" if scope else node.op_type
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return names


def _constant_names(graph: onnx.GraphProto, strip: str) -> Mapping[str, str]:
    """Give parameters their own name, and folded constants that of their first use."""
    names = {}
    tensors = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name in tensors and name not in names:
                folded = name.startswith("val_") or "." not in name
                names[name] = f"{node.name}.{index}" if folded else name.removeprefix(strip)
    return names


def _replace(names: list[str], mapping: Mapping[str, str]) -> None:
    for index, name in enumerate(names):
        names[index] = mapping.get(name, name)
