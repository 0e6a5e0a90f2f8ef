"""Indices that reach beyond a table: OpenVINO's Gather reads zeros there, and says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmedge.runtime.backends import Arrays

__all__ = ["Table", "check_indices", "tables_of"]

# What an index passes on its way to a table as it is.
_PASSED = frozenset({"Convert", "Reshape", "Squeeze", "Unsqueeze"})


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


def tables_of(graph: Any) -> tuple[Table, ...]:
    """Find the tables of an OpenVINO model whose indices are constant, or come from an input.

    Indices that are computed otherwise are not followed.
    """
    found = []
    for node in graph.get_ordered_ops():
        if node.get_type_name() != "Gather":
            continue
        rows, origin = _rows(node), node.input_value(1).get_node()
        while origin.get_type_name() in _PASSED:
            origin = origin.input_value(0).get_node()
        if rows is None:
            continue
        if origin.get_type_name() == "Parameter":
            found.append(Table(origin.get_friendly_name(), rows))
        elif origin.get_type_name() == "Constant" and origin.data.size:
            held = int(origin.data.min()), int(origin.data.max())
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


def _rows(node: Any) -> int | None:
    """Give the length of the axis that a Gather reads along; ``None`` if it may vary."""
    axis = node.input_value(2).get_node()
    shape = node.input_value(0).get_partial_shape()
    if axis.get_type_name() != "Constant" or shape.rank.is_dynamic:
        return None
    size = shape[int(axis.data.reshape(-1)[0])]
    return None if size.is_dynamic else int(size.get_length())
