"""An ONNX graph while it is rewritten: who makes a value, who takes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from mmedge.errors import ArtefactError
from mmedge.manifest import FRONT_END

__all__ = ["Graph", "attribute"]


class Graph:
    """A graph and its edges. Change nodes through the methods, so that the edges stay true.

    Args:
        model: an ONNX file of a bundle: no subgraphs, no functions, every node named.

    Raises:
        ArtefactError: it is no ONNX file.
    """

    def __init__(self, model: bytes) -> None:
        try:
            self.model = onnx.load_model_from_string(model)
        except Exception as exc:  # protobuf's errors have no common base but this
            raise ArtefactError(f"a graph of the bundle is no ONNX file: {exc}") from exc
        self.constants = {each.name: each for each in self.model.graph.initializer}
        self.producers: dict[str, onnx.NodeProto] = {}
        self.consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.model.graph.node:
            self._link(node)

    @property
    def nodes(self) -> Iterable[onnx.NodeProto]:
        """The nodes; in topological order once `sort` or `to_bytes` was called."""
        return tuple(self.model.graph.node)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the graph's inputs."""
        return tuple(each.name for each in self.model.graph.input)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""
        return tuple(each.name for each in self.model.graph.output)

    def constant(self, name: str) -> NDArray[Any] | None:
        """Give the value of an initializer, or ``None`` for what is computed."""
        found = self.constants.get(name)
        return None if found is None else numpy_helper.to_array(found)

    def add_constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Add an initializer, in place of one of that name; gives its name."""
        made = numpy_helper.from_array(np.asarray(value, order="C"), name)
        if name in self.constants:
            self.constants[name].CopyFrom(made)
        else:
            self.model.graph.initializer.append(made)
            self.constants[name] = self.model.graph.initializer[-1]
        return name

    def add(
        self, op: str, inputs: Iterable[str], output: str, *, name: str = "", **attributes: Any
    ) -> onnx.NodeProto:
        """Add a node with one output; it stands in the right place once `to_bytes` is called."""
        made = onnx.helper.make_node(op, list(inputs), [output], name=name or output, **attributes)
        self.model.graph.node.append(made)
        node: onnx.NodeProto = self.model.graph.node[-1]
        self._link(node)
        return node

    def remove(self, node: onnx.NodeProto) -> None:
        """Take a node out; nothing may take its outputs any more."""
        for name in set(node.input):
            self.consumers[name].remove(node)
        for name in node.output:
            self.producers.pop(name, None)
        self.model.graph.node.remove(node)

    def feed(self, node: onnx.NodeProto, index: int, name: str) -> None:
        """Let a node take another value as its ``index``-th input, or as one more."""
        if index == len(node.input):
            node.input.append("")
        before = node.input[index]
        node.input[index] = name
        if before and before not in node.input:
            self.consumers[before].remove(node)
        takers = self.consumers.setdefault(name, [])
        if not any(each is node for each in takers):
            takers.append(node)

    def replace_constant(
        self, node: onnx.NodeProto, index: int, value: NDArray[np.generic]
    ) -> None:
        """Give a node another constant, under the same name unless others take that too."""
        name = node.input[index]
        if len(self.consumers[name]) > 1 or list(node.input).count(name) > 1:
            name = f"{node.name}/{index}"
        self.add_constant(name, value)
        self.feed(node, index, name)

    def rename_output(self, node: onnx.NodeProto, name: str) -> None:
        """Call a node's first output otherwise; its takers then wait for another to make it."""
        del self.producers[node.output[0]]
        node.output[0] = name
        self.producers[name] = node

    def front_end(self) -> frozenset[str]:
        """Names of the nodes that `FRONT_END` depends on; empty without a front-end."""
        return self.before(FRONT_END)

    def before(self, value: str) -> frozenset[str]:
        """Names of all nodes that a value depends on."""
        found: set[str] = set()
        waiting = [value]
        while waiting:
            node = self.producers.get(waiting.pop())
            if node is not None and node.name not in found:
                found.add(node.name)
                waiting.extend(node.input)
        return frozenset(found)

    def rename(self, value: str, name: str) -> None:
        """Give a value that a node makes another name, with all who take it."""
        node = self.producers.pop(value)
        node.output[list(node.output).index(value)] = name
        self.producers[name] = node
        for taker in tuple(self.consumers.get(value, ())):
            for index, taken in enumerate(taker.input):
                if taken == value:
                    self.feed(taker, index, name)

    def to_bytes(self) -> bytes:
        """Give the file: nodes in topological order, initializers that nobody takes left out."""
        self.sort()
        taken = {name for node in self.model.graph.node for name in node.input}
        kept = [e for e in self.model.graph.initializer if e.name in {*taken, *self.outputs}]
        result = onnx.ModelProto()
        result.CopyFrom(self.model)
        del result.graph.initializer[:]
        result.graph.initializer.extend(kept)
        del result.graph.value_info[:]
        data: bytes = result.SerializeToString(deterministic=True)
        return data

    def sort(self) -> None:
        """Order the nodes so that each stands after what it takes (Kahn 1962).

        Nodes that were held before are no longer the graph's.
        """
        missing = {
            node.name: {name for name in node.input if name in self.producers}
            for node in self.model.graph.node
        }
        order = [node for node in self.model.graph.node if not missing[node.name]]
        for node in order:  # grows while it is walked
            for output in node.output:
                for taker in self.consumers.get(output, ()):
                    wanted = missing[taker.name]
                    if output in wanted:
                        wanted.remove(output)
                        if not wanted:
                            order.append(taker)
        sorted_model = onnx.GraphProto()
        sorted_model.node.extend(order)
        del self.model.graph.node[:]
        self.model.graph.node.extend(sorted_model.node)
        self.producers.clear()
        self.consumers.clear()
        for node in self.model.graph.node:
            self._link(node)

    def _link(self, node: onnx.NodeProto) -> None:
        for name in node.output:
            self.producers[name] = node
        for name in dict.fromkeys(node.input):
            self.consumers.setdefault(name, []).append(node)


def attribute(node: onnx.NodeProto, name: str, default: float) -> float:
    """Give a number that a node carries, or what ONNX says it is without."""
    values = (onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name)
    found: float = next(values, default)
    return found
