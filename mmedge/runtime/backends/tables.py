"""Indices that reach beyond a table: on a GPU, and to OpenVINO, they are zeros and no error.

A token's that the model has no embedding for would be predicted from as if it were one. So the
tables that are read at the indices of an input are found in the ONNX file, without the ``onnx``
package, and the indices are looked at before they go in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmedge.onnx_file import fields_of, varint
from mmedge.runtime.backends import Arrays

__all__ = ["Table", "check_indices", "tables_of"]

# What an index, or a table, passes as it is, as far as indices are concerned: by its first input.
_PASSED = frozenset({"Cast", "DequantizeLinear", "Identity", "QuantizeLinear"})
_RESHAPED = frozenset({"Reshape", "Squeeze", "Unsqueeze"})
_INTEGERS: dict[int, np.dtype[Any]] = {
    6: np.dtype("<i4"),
    7: np.dtype("<i8"),
}  # TensorProto.DataType


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is read at the indices that an input holds.

    Attributes:
        index: the input; empty where the graph holds the indices itself.
        rows: how many the table has.
        held: smallest and largest index that the graph holds itself.
    """

    index: str
    rows: int
    held: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class _Node:
    kind: str = ""
    inputs: list[str] = field(default_factory=list)
    output: str = ""
    axis: int = 0
    value: memoryview | None = None


@dataclass(slots=True)
class _Graph:
    nodes: dict[str, _Node] = field(default_factory=dict)  # by first output
    tensors: dict[str, memoryview] = field(default_factory=dict)
    inputs: dict[str, memoryview] = field(default_factory=dict)

    def origin(self, name: str, passed: frozenset[str]) -> str:
        """Follow a value back to where it is held, comes in, or is computed."""
        for _ in self.nodes:  # no way is longer, and one in a circle has no end
            node = self.nodes.get(name)
            if node is None or node.kind not in passed or not node.inputs:
                break
            name = node.inputs[0]
        return name


def tables_of(model: bytes) -> tuple[Table, ...]:
    """Find the tables of a graph whose indices are constant, or come from an input.

    Indices that are computed otherwise, and tables inside of ``If``, are not followed.

    Args:
        model: an ONNX file that `mmedge.onnx_file.check_onnx` has found to be one.
    """
    graph = _read(memoryview(model))
    found = []
    for node in graph.nodes.values():
        if node.kind != "Gather" or len(node.inputs) != 2:
            continue
        rows = _rows(graph, node)
        index = graph.origin(node.inputs[1], _PASSED | _RESHAPED)
        if rows is None:
            continue
        if index in graph.inputs and index not in graph.tensors:
            found.append(Table(index, rows))
        elif (held := _held(graph.tensors.get(index))) is not None:
            found.append(Table("", rows, held))
    return tuple(dict.fromkeys(found))


def check_indices(tables: Sequence[Table], feeds: Arrays) -> None:
    """Refuse indices beyond a table; negative ones count from its end, as in ONNX.

    Raises:
        ValueError: there is one.
    """
    for table in tables:
        if table.index:
            low, high = int(feeds[table.index].min()), int(feeds[table.index].max())
        else:
            low, high = table.held
        if low < -table.rows or high >= table.rows:
            beyond = high if high >= table.rows else low
            what = f"input {table.index!r}" if table.index else "the graph"
            raise ValueError(f"{what} has the index {beyond} into a table of {table.rows} rows")


def _rows(graph: _Graph, node: _Node) -> int | None:
    """Give the length of the axis that a Gather reads along; ``None`` if it may vary."""
    data = graph.origin(node.inputs[0], _PASSED)
    if data in graph.tensors:
        shape = [value for tag, _, _, value in fields_of(graph.tensors[data]) if tag == 1]
    elif data in graph.inputs:
        dims = [dim for each in _under(graph.inputs[data], 2, 1, 2) for dim in _under(each, 1)]
        shape = [_number(dim, 1) for dim in dims]
    else:
        return None
    fits = -len(shape) <= node.axis < len(shape)
    return (shape[node.axis] or None) if fits else None


def _held(tensor: memoryview | None) -> tuple[int, int] | None:
    """Give the smallest and the largest of a constant's integers; ``None`` if it has none."""
    if tensor is None or _number(tensor, 2) not in _INTEGERS:
        return None
    raw = b"".join(bytes(each) for each in _under(tensor, 9))
    if raw:
        values = np.frombuffer(raw, _INTEGERS[_number(tensor, 2)])
    else:
        listed = [
            number for tag in (5, 7) for each in _under(tensor, tag) for number in _packed(each)
        ]
        values = np.array(listed, np.int64)
    return (int(values.min()), int(values.max())) if values.size else None


def _read(model: memoryview) -> _Graph:
    graph = _Graph()
    for whole in _under(model, 7):
        for tag, first, last, _ in fields_of(whole):
            part = whole[first:last]
            if tag == 1:
                node = _node(part)
                graph.nodes[node.output] = node
                if node.kind == "Constant" and node.value is not None:
                    graph.tensors[node.output] = node.value
            elif tag == 5:
                graph.tensors[_text(part, 8)] = part
            elif tag == 11:
                graph.inputs[_text(part, 1)] = part
    return graph


def _node(part: memoryview) -> _Node:
    node = _Node(kind=_text(part, 4), output=_text(part, 2))
    for tag, first, last, _ in fields_of(part):
        if tag == 1:
            node.inputs.append(bytes(part[first:last]).decode())
        elif tag == 5:
            attribute = part[first:last]
            if _text(attribute, 1) == "axis":
                node.axis = _signed(_number(attribute, 3))
            elif _text(attribute, 1) == "value":
                node.value = next(iter(_under(attribute, 5)), None)
    return node


def _under(view: memoryview, *path: int) -> Iterator[memoryview]:
    """Give the messages that lie under these field numbers, one in the other."""
    for tag, first, last, _ in fields_of(view):
        if tag == path[0]:
            inner = view[first:last]
            if len(path) == 1:
                yield inner
            else:
                yield from _under(inner, *path[1:])


def _text(view: memoryview, field_number: int) -> str:
    return next((bytes(each).decode() for each in _under(view, field_number)), "")


def _number(view: memoryview, field_number: int) -> int:
    return next((value for tag, _, _, value in fields_of(view) if tag == field_number), 0)


def _packed(view: memoryview) -> Iterator[int]:
    """Give the numbers of a packed field."""
    position = 0
    while position < len(view):
        value, position = varint(view, position, len(view))
        yield _signed(value)


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value
