"""Find tensors of an ONNX file that live in another file, without the ``onnx`` package.

A bundle's graph may come from a stranger, and a tensor that names an outside file would
have the runtime read whatever path stands there (ONNX Runtime 1.23 follows an absolute
one). Only the messages on the way to a tensor are walked (onnx.proto; Protocol Buffers,
"Encoding"); their contents are skipped by length.
"""

from __future__ import annotations

from collections.abc import Iterator

from mmedge.errors import ArtefactError

__all__ = ["has_external_data"]

_CHILDREN = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # TensorProto
_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5


def has_external_data(model: bytes) -> bool:
    """Tell whether any tensor of a serialised model names an outside file.

    Raises:
        ArtefactError: the bytes are not a protobuf message.
    """
    view = memoryview(model)
    stack = [("model", 0, len(view))]
    while stack:
        kind, begin, end = stack.pop()
        for number, first, last in _fields(view, begin, end):
            if kind == "tensor" and number in (_EXTERNAL_DATA, _DATA_LOCATION):
                return True
            child = _CHILDREN[kind].get(number)
            if child is not None:
                stack.append((child, first, last))
    return False


def _fields(view: memoryview, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Give number and extent of each field that is not the proto3 default."""
    position = begin
    while position < end:
        tag, position = _varint(view, position, end)
        wire = tag & 7
        first = position
        if wire == _VARINT:
            value, position = _varint(view, position, end)
            if not value:
                continue
        elif wire == _LENGTH_DELIMITED:
            length, first = _varint(view, position, end)
            position = first + length
        elif wire in (_FIXED32, _FIXED64):
            position += 4 if wire == _FIXED32 else 8
        else:
            raise ArtefactError(f"wire type {wire} is not ONNX")
        if position > end:
            raise ArtefactError("it ends in the middle of a field")
        yield tag >> 3, first, position


def _varint(view: memoryview, position: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            raise ArtefactError("it ends in the middle of a number")
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ArtefactError("a number is longer than 64 bits")
