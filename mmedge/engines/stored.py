"""One engine as a file: a head that is signed, then the engine, whose hash the head holds.

TensorRT runs what it deserialises: an engine of a stranger's is a stranger's code, and one that
was damaged may be anything. So nothing of a file is looked at before its signature, an
HMAC-SHA256 with the key of this device, is found right (RFC 2104; NVIDIA: "Deserializing
engines from untrusted sources").

    magic          16 bytes
    length         uint32, little endian: bytes of the head
    head           JSON: request, about, bytes and sha256 of the engine
    signature      32 bytes, over all of the above
    engine
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mmedge._files import write_whole
from mmedge.engines.device_key import Unfit, open_plain
from mmedge.engines.request import EngineRequest

__all__ = ["Built", "Head", "read_engine", "read_head", "write_engine"]

_MAGIC = b"mmedge engine 2\n"
_FRONT = struct.Struct("<16sI")
_SIGNATURE_BYTES = 32
_MAX_HEAD_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An engine, and what its builder has to say of it.

    Attributes:
        engine: serialised.
        about: plain JSON, kept with it.
    """

    engine: bytes
    about: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a file says of its engine, and what its signature stands for."""

    request: EngineRequest
    about: Mapping[str, Any]
    engine_bytes: int
    engine_sha256: str


def write_engine(path: Path, request: EngineRequest, built: Built, key: bytes) -> None:
    """Write an engine whole, or not at all.

    Raises:
        OSError: the disk is full, or does not let us.
    """
    head = json.dumps(
        {
            "request": request.to_json(),
            "about": dict(built.about),
            "bytes": len(built.engine),
            "sha256": hashlib.sha256(built.engine).hexdigest(),
        },
        allow_nan=False,
    ).encode()
    if len(head) > _MAX_HEAD_BYTES:
        raise OSError(errno.EFBIG, f"what is said of the engine has {len(head)} bytes")
    front = _FRONT.pack(_MAGIC, len(head)) + head
    write_whole(path, front + _sign(front, key), built.engine, mode=0o600)


def read_head(path: Path, key: bytes) -> Head:
    """Read what a file says of its engine, after its signature was found right.

    Raises:
        FileNotFoundError: there is none.
        Unfit: it is not to be trusted.
    """
    with os.fdopen(open_plain(path), "rb") as file:
        return _head(path, file, key)


def read_engine(path: Path, key: bytes) -> tuple[Head, Built]:
    """Read an engine, after signature and hash were found right; raises as `read_head`."""
    with os.fdopen(open_plain(path), "rb") as file:
        head = _head(path, file, key)
        engine = file.read()
    if hashlib.sha256(engine).hexdigest() != head.engine_sha256:
        raise Unfit(f"{path} was changed or damaged after it was written")
    return head, Built(engine=engine, about=head.about)


def _head(path: Path, file: BinaryIO, key: bytes) -> Head:
    """Read and authenticate the head; the file then stands at the engine."""
    front = file.read(_FRONT.size)
    if len(front) != _FRONT.size:
        raise Unfit(f"{path} is cut short")
    magic, length = _FRONT.unpack(front)
    if magic != _MAGIC:
        raise Unfit(f"{path} is no engine of this version of mmedge")
    if length > _MAX_HEAD_BYTES:
        raise Unfit(f"{path} is damaged")
    content = file.read(length)
    signature = file.read(_SIGNATURE_BYTES)
    if len(content) != length or len(signature) != _SIGNATURE_BYTES:
        raise Unfit(f"{path} is cut short")
    if not hmac.compare_digest(signature, _sign(front + content, key)):
        raise Unfit(f"{path} was not signed with this device's key, or was changed or damaged")
    head = _parse(content)
    size = os.fstat(file.fileno()).st_size - file.tell()
    if size != head.engine_bytes:
        word = "is cut short" if size < head.engine_bytes else "has more in it than was written"
        raise Unfit(f"{path} {word}")
    return head


def _parse(content: bytes) -> Head:
    """Read a head that this device has signed: what it holds was written by `write_engine`."""
    fields = json.loads(content)
    return Head(
        request=EngineRequest.from_json(fields["request"]),
        about=fields["about"],
        engine_bytes=fields["bytes"],
        engine_sha256=fields["sha256"],
    )


def _sign(content: bytes, key: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).digest()
