"""Look into an ONNX file without the ``onnx`` package: is it one that a bundle may hold?

A bundle's graph may come from a stranger. A tensor that names an outside file would have
the runtime read whatever path stands there (ONNX Runtime 1.23 follows an absolute one), a
loop may run for ever, and other domains hold code that no one has looked at. Only the
messages on the way there are walked (onnx.proto; Protocol Buffers, "Encoding"); all else
is skipped by length.
"""

from __future__ import annotations

from collections.abc import Iterator

from mmedge.errors import ArtefactError
from mmedge.operators import ALLOWED, IR_VERSION, OPSET

__all__ = ["check_onnx", "fields_of", "varint"]

# Message -> field number -> the message, or the thing to look at, that stands there.
_FIELDS = {
    "model": {1: "ir_version", 7: "graph", 8: "opset", 25: "function"},
    "opset": {2: "opset_version"},
    "graph": {1: "node", 5: "tensor", 11: "end", 12: "end", 15: "sparse"},
    "end": {1: "name"},
    "node": {4: "operator", 5: "attribute", 7: "domain"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external", 14: "external"},
}
_VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5


def check_onnx(model: bytes, what: str) -> None:
    """Refuse a graph that a bundle must not hold.

    Raises:
        ArtefactError: not protobuf, an IR or opset newer than a bundle's, an operator that
            is not allowed, functions, weights in another file, or an input or output whose name
            is no text.
    """
    view = memoryview(model)
    if not view:
        raise ArtefactError(f"{what} is not an ONNX file: it is empty")
    try:
        for thing, begin, end, value in _walk(view):
            complaint = _complaint(thing, bytes(view[begin:end]), value)
            if complaint:
                raise ArtefactError(f"{what} {complaint}. Export the model again.")
    except EOFError as exc:
        raise ArtefactError(f"{what} is not an ONNX file: {exc}") from exc


def _complaint(thing: str, content: bytes, value: int) -> str:
    name = content[:40].decode("latin-1")
    found = {
        "ir_version": (value > IR_VERSION, f"has IR version {value}, newer than {IR_VERSION}"),
        "opset_version": (value > OPSET, f"has opset {value}, newer than {OPSET}"),
        "operator": (name not in ALLOWED, f"uses the operator {name!r}, which no bundle holds"),
        "domain": (name not in ("", "ai.onnx"), f"uses operators of the domain {name!r}"),
        "external": (True, "keeps weights in another file; a bundle's graphs hold their own"),
        "name": (
            content.decode(errors="ignore").encode() != content,
            f"has an input or output whose name is no text (UTF-8): {name!r}",
        ),
        "function": (True, "defines functions, which no bundle holds"),
    }
    refused, words = found[thing]
    return words if refused else ""


def _walk(view: memoryview) -> Iterator[tuple[str, int, int, int]]:
    """Give each thing to look at: its kind, extent, and value where it is a number."""
    stack = [("model", 0, len(view))]
    while stack:
        kind, begin, end = stack.pop()
        for number, first, last, value in fields_of(view, begin, end):
            thing = _FIELDS[kind].get(number)
            if thing in _FIELDS:
                stack.append((thing, first, last))
            elif thing is not None:
                yield thing, first, last, value


def fields_of(
    view: memoryview, begin: int = 0, end: int | None = None
) -> Iterator[tuple[int, int, int, int]]:
    """Give number, extent and value of each field of a message that is not the proto3 default.

    Raises:
        EOFError: it is not protobuf.
    """
    position, end = begin, len(view) if end is None else end
    while position < end:
        tag, position = varint(view, position, end)
        wire, first, value = tag & 7, position, 0
        if wire == _VARINT:
            value, position = varint(view, position, end)
            if not value:
                continue
        elif wire == _LENGTH_DELIMITED:
            length, first = varint(view, position, end)
            position = first + length
        elif wire in (_FIXED32, _FIXED64):
            position += 4 if wire == _FIXED32 else 8
        else:
            raise EOFError(f"wire type {wire} is not ONNX")
        if position > end:
            raise EOFError("it ends in the middle of a field")
        yield tag >> 3, first, position, value


def varint(view: memoryview, position: int, end: int) -> tuple[int, int]:
    """Read a number, and give where the next begins.

    Raises:
        EOFError: it does not end, or not by then.
    """
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            raise EOFError("it ends in the middle of a number")
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise EOFError("a number is longer than 64 bits")
