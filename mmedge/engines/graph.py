"""A plan's graph as it is handed to TensorRT, linked, and the types that its values have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from mmedge._optional import require
from mmedge.errors import ArtefactError
from mmedge.onnx_file import check_onnx

if TYPE_CHECKING:
    import onnx

__all__ = ["MULTIPLY", "PlanGraph"]

MULTIPLY = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators that are worth a precision of their own."""
_SHAPES = ("Shape", "Size")
_SMALL_BYTES = 1024


class PlanGraph:
    """The nodes of a graph, linked.

    Args:
        model: the ONNX file's bytes.
        what: the graph, for error messages.

    Raises:
        ArtefactError: not an ONNX file, or one that no bundle may hold.
    """

    def __init__(self, model: bytes, what: str) -> None:
        loader = require("onnx", extra="tensorrt|rtx", why="an engine")
        check_onnx(model, what)
        self.what = what
        try:
            self.model: onnx.ModelProto = loader.load_from_string(model)
        except Exception as exc:  # protobuf's, which is no dependency of ours
            raise ArtefactError(f"{what} is not an ONNX file: {exc}") from exc

    @property
    def nodes(self) -> Sequence[onnx.NodeProto]:
        """The nodes, in the order of the file."""
        nodes: Sequence[onnx.NodeProto] = self.model.graph.node
        return nodes

    @cached_property
    def constants(self) -> dict[str, onnx.TensorProto]:
        """Name -> constant that the file holds, as an initializer or in a node."""
        found = {each.name: each for each in self.model.graph.initializer}
        for node in self.nodes:
            for each in node.attribute if node.op_type == "Constant" else ():
                if each.name == "value":
                    found[node.output[0]] = each.t
        return found

    @cached_property
    def makers(self) -> dict[str, onnx.NodeProto]:
        """Value -> the node that makes it."""
        return {name: node for node in self.nodes for name in node.output if name}

    @cached_property
    def takers(self) -> dict[str, list[onnx.NodeProto]]:
        """Value -> the nodes that take it."""
        found: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in set(node.input):
                found.setdefault(name, []).append(node)
        return found

    @cached_property
    def moving(self) -> frozenset[str]:
        """Values that depend on the graph's inputs."""
        found = {each.name for each in self.model.graph.input} - self.constants.keys()
        for node in self.nodes:
            if any(name in found for name in node.input):
                found.update(node.output)
        return frozenset(found)

    @cached_property
    def hanging(self) -> frozenset[str]:
        """Values that hang on what is in the graph's inputs, and not on their shapes alone."""
        found = {each.name for each in self.model.graph.input} - self.constants.keys()
        for node in self.nodes:
            if node.op_type not in _SHAPES and any(name in found for name in node.input):
                found.update(node.output)
        return frozenset(found)

    @cached_property
    def needed(self) -> frozenset[str]:
        """Values that an output of the graph hangs on, and not on their shapes alone."""
        found = {each.name for each in self.model.graph.output}
        for node in reversed(self.nodes):
            if node.op_type not in _SHAPES and any(name in found for name in node.output):
                found.update(node.input)
        return frozenset(found)

    def is_rounded(self, value: str) -> bool:
        """Whether a value comes as int8, out of a ``DequantizeLinear``."""
        maker = self.makers.get(value)
        return maker is not None and maker.op_type == "DequantizeLinear"

    def attentions(self) -> Iterator[frozenset[str]]:
        """Give the products of each attention: those of activations, a ``Softmax`` between."""
        for node in self.nodes:
            if node.op_type == "Softmax":
                before, after = (
                    frozenset(each.name for each in self._nearest(node, step))
                    for step in (self._made_from, self._taken_by)
                )
                if before and after:
                    yield before | after

    def types(self) -> dict[str, str]:
        """Infer the type of every value, such as ``FLOAT16``.

        The graph's large constants are gone afterwards: inference would copy them, and a
        board with 8 GB has other uses for its memory.
        """
        import onnx

        graph = self.model.graph
        for each in [each for each in graph.initializer if each.ByteSize() > _SMALL_BYTES]:
            info = onnx.helper.make_tensor_value_info(each.name, each.data_type, list(each.dims))
            graph.input.append(info)
            graph.initializer.remove(each)
        inferred = onnx.shape_inference.infer_shapes(self.model).graph
        infos = (*inferred.input, *inferred.value_info, *inferred.output)
        kinds = {each.name: each.type.tensor_type.elem_type for each in infos}
        kinds |= {name: each.data_type for name, each in self.constants.items()}
        return {name: onnx.TensorProto.DataType.Name(kind) for name, kind in kinds.items()}

    def _made_from(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        return (self.makers[name] for name in node.input if name in self.makers)

    def _taken_by(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        return (each for name in node.output for each in self.takers.get(name, ()))

    def _nearest(
        self, node: onnx.NodeProto, step: Callable[[onnx.NodeProto], Iterable[onnx.NodeProto]]
    ) -> Iterator[onnx.NodeProto]:
        """Give the products of activations that come first on every way from a node."""
        seen, waiting = {node.name}, [node]
        while waiting:
            for each in step(waiting.pop()):
                if each.name in seen:
                    continue
                seen.add(each.name)
                if each.op_type not in MULTIPLY:
                    waiting.append(each)
                elif each.op_type == "MatMul" and all(name in self.moving for name in each.input):
                    yield each
