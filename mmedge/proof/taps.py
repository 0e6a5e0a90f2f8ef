"""Read a value from inside a graph, where no ``onnx`` package is installed.

A serialised protobuf message followed by another of the same type parses as the two
merged: fields that are messages merge, repeated fields append (Protocol Buffers,
"Encoding": "Last One Wins"). So ``model + ModelProto{graph{output{name}}}`` is the same
model with one more output; ONNX Runtime infers its type.
"""

from __future__ import annotations

__all__ = ["with_output"]

_LENGTH_DELIMITED = 2
_MODEL_GRAPH = 7  # onnx.proto: ModelProto.graph
_GRAPH_OUTPUT = 12  # GraphProto.output
_VALUE_NAME = 1  # ValueInfoProto.name


def with_output(model: bytes, name: str) -> bytes:
    """Give the model with the inner value ``name`` as one more output."""
    value = _field(_VALUE_NAME, name.encode())
    return model + _field(_MODEL_GRAPH, _field(_GRAPH_OUTPUT, value))


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
