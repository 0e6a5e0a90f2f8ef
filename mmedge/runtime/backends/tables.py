"""Indices that reach beyond a table: on a GPU, and to OpenVINO, they are no error.

A token's that the model has no embedding for gives zeros, and would be predicted from. So the
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
_READING = frozenset({"Gather", "GatherElements"})
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
        column: of the input's last axis, where others are for other tables.
    """

    index: str
    rows: int
    held: tuple[int, int] = (0, 0)
    column: int | None = None


@dataclass(slots=True)
class _Node:
    kind: str = ""
    inputs: list[str] = field(default_factory=list)
    output: str = ""
    axis: int = 0  # or batch_dims, after which the axes of GatherND begin
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

    Indices that are computed otherwise are not followed, nor are those that are brought into
    another shape before GatherND reads by several of them at once.

    Args:
        model: an ONNX file that `mmedge.onnx_file.check_onnx` has found to be one.
    """
    graph = _read(memoryview(model))
    found = (each for node in graph.nodes.values() for each in _reads(graph, node))
    return tuple(dict.fromkeys(found))


def check_indices(tables: Sequence[Table], feeds: Arrays) -> None:
    """Refuse indices beyond a table; negative ones count from its end, as in ONNX.

    Raises:
        ValueError: there is one.
    """
    for table in tables:
        if table.index:
            given = feeds[table.index]
            given = given if table.column is None else given[..., table.column]
            low, high = int(given.min()), int(given.max())
        else:
            low, high = table.held
        if low < -table.rows or high >= table.rows:
            beyond = high if high >= table.rows else low
            what = f"input {table.index!r}" if table.index else "the graph"
            raise ValueError(f"{what} has the index {beyond} into a table of {table.rows} rows")


def _reads(graph: _Graph, node: _Node) -> Iterator[Table]:
    """Give what a node reads at indices that can be followed: one table for each column of them."""
    if len(node.inputs) != 2 or node.kind not in (*_READING, "GatherND"):
        return
    columns = node.kind == "GatherND"
    index = graph.origin(node.inputs[1], _PASSED if columns else _PASSED | _RESHAPED)
    shape = _shape(graph, graph.origin(node.inputs[0], _PASSED))
    width = [0, *_shape(graph, index)][-1] if columns else 1
    for column, rows in enumerate(shape[node.axis :][:width]):
        if not rows:  # it may vary
            continue
        if index in graph.inputs and index not in graph.tensors:
            yield Table(index, rows, column=column if columns else None)
        elif (held := _held(graph.tensors.get(index), column, width)) is not None:
            yield Table("", rows, held)


def _shape(graph: _Graph, name: str) -> list[int]:
    """Give the sizes of what is held or comes in, 0 where one may vary; of other values none."""
    if name in graph.tensors:
        return [size for each in _under(graph.tensors[name], 1) for size in _packed(each)]
    if name in graph.inputs:
        dims = (dim for each in _under(graph.inputs[name], 2, 1, 2) for dim in _under(each, 1))
        return [_number(dim, 1) for dim in dims]
    return []


def _held(tensor: memoryview | None, column: int, width: int) -> tuple[int, int] | None:
    """Give a column's smallest and largest of a constant's integers; ``None`` if it has none."""
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
    values = values[column::width]
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
            node.inputs.append(_name(part[first:last]))
        elif tag == 5:
            attribute = part[first:last]
            if _text(attribute, 1) in ("axis", "batch_dims"):
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
    return next((_name(each) for each in _under(view, field_number)), "")


def _name(view: memoryview) -> str:
    """Read a name, which inside of a graph need not be text."""
    return bytes(view).decode(errors="surrogateescape")


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
