"""Read an ONNX file of the user's, and say what is wrong with it before anything runs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx import inliner

from mmedge.errors import ArtefactError, ConfigError, IncompatibleError, ResourceError
from mmedge.specs.plan import MAX_FILE_BYTES

__all__ = ["graphs_of", "parse_onnx", "read_onnx"]

_DOMAINS = ("", "ai.onnx")


def read_onnx(path: Path) -> bytes:
    """Read a file after its size was looked at.

    Raises:
        ConfigError: there is no such file.
        ArtefactError: it is empty.
        ResourceError: more than 2 GB.
    """
    if not path.is_file():
        raise ConfigError(f"there is no ONNX file {path}")
    size = path.stat().st_size
    if not size:
        raise ArtefactError(f"{path} is empty; was it copied whole?")
    if size >= MAX_FILE_BYTES:
        raise ResourceError(f"{path} has {size} bytes; a graph may have 2 GB at most")
    return path.read_bytes()


def parse_onnx(data: bytes, where: str) -> onnx.ModelProto:
    """Parse and check a model; its functions are inlined.

    Raises:
        ArtefactError: no ONNX file, or one that breaks ONNX's own rules.
        IncompatibleError: weights in another file, operators of another domain, or an opset
            that the installed ``onnx`` does not know.
    """
    try:
        model = onnx.load_model_from_string(data)
    except Exception as exc:  # protobuf's error type depends on its implementation
        raise ArtefactError(f"{where} is not an ONNX file ({exc}); was it copied whole?") from exc
    if not model.graph.node or not model.graph.output or not model.opset_import:
        raise ArtefactError(f"{where} is not an ONNX file: it has no graph; was it copied whole?")
    _refuse_other_files(model, where)
    newest, opset = onnx.defs.onnx_opset_version(), _opset(model)
    if opset > newest:
        raise IncompatibleError(
            f"{where} has opset {opset}, and the installed onnx knows up to {newest}: upgrade "
            "onnx, or export the file with opset 20"
        )
    try:
        onnx.checker.check_model(model)
        model = inliner.inline_local_functions(model)
    except Exception as exc:  # its error types differ between releases
        reason = str(exc).strip().partition("\n")[0]
        raise ArtefactError(f"{where} breaks the rules of ONNX: {reason}") from exc
    _refuse_domains(model, where)
    return model


def graphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Give a graph and all that stand inside its nodes."""
    waiting = [graph]
    while waiting:
        current = waiting.pop()
        yield current
        for node in current.node:
            for attribute in node.attribute:
                waiting += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def _opset(model: onnx.ModelProto) -> int:
    return max([each.version for each in model.opset_import if each.domain in _DOMAINS] or [0])


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    nodes = [node for function in model.functions for node in function.node]
    for graph in graphs_of(model.graph):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        nodes += graph.node
    for node in nodes:
        for attribute in node.attribute:
            yield from (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors)


def _refuse_other_files(model: onnx.ModelProto, where: str) -> None:
    """What a file names is never opened: the path could be anything."""
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            named = {entry.key: entry.value for entry in tensor.external_data}.get("location", "?")
            raise IncompatibleError(
                f"{where} keeps weights in another file ({named[:100]!r}); make it one file: "
                "onnx.save(onnx.load('that.onnx'), 'one.onnx')"
            )


def _refuse_domains(model: onnx.ModelProto, where: str) -> None:
    used: list[Any] = [node for graph in graphs_of(model.graph) for node in graph.node]
    for node in used:
        if node.domain not in _DOMAINS:
            raise IncompatibleError(
                f"{where} uses {node.op_type} of the domain {node.domain!r}, which TensorRT does "
                "not import. Export it with plain ONNX operators; a file that ONNX Runtime "
                "optimised does not have them, the one before it does."
            )
