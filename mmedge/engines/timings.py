"""What TensorRT's compiler has measured on this GPU, kept so that it need not do so again.

TensorRT parses it, so it is trusted no more than an engine: it is signed with the key of this
device, together with the place that it was measured in. Losing it costs time and nothing else.

    magic          17 bytes
    signature      32 bytes: HMAC-SHA256 over magic, place and timings
    timings        of TensorRT's ``ITimingCache``
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
from dataclasses import asdict
from pathlib import Path

from mmedge._files import write_whole
from mmedge.engines.device_key import Unfit, open_plain, read_key
from mmedge.engines.request import Place

__all__ = ["NAME", "keep_timings", "kept_timings"]

NAME = "timings"
"""Of the file, beside the engines."""
MAX_BYTES = 256 * 2**20
_MAGIC = b"mmedge timings 1\n"
_SIGNATURE_BYTES = 32
_LOG = logging.getLogger(__name__)


def kept_timings(folder: Path, place: Place, key_file: Path) -> bytes:
    """Give what was measured in a place; nothing where nothing is kept that may be trusted."""
    try:
        key = read_key(key_file)
        with os.fdopen(open_plain(folder / NAME), "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, Unfit) as exc:
        _LOG.debug("no timings are used: %s", exc)
        return b""
    front = len(_MAGIC) + _SIGNATURE_BYTES
    timings = content[front:]
    signed = _MAGIC + _sign(timings, place, key)
    if len(content) > MAX_BYTES or not hmac.compare_digest(content[:front], signed):
        _LOG.info("%s is damaged, or of another device or TensorRT: it is not used", folder / NAME)
        return b""
    return timings


def keep_timings(timings: bytes, folder: Path, place: Place, key_file: Path) -> None:
    """Keep what was measured in a place, instead of what was kept; whoever does builds alone."""
    if not timings or len(timings) > MAX_BYTES - len(_MAGIC) - _SIGNATURE_BYTES:
        return
    try:
        signature = _sign(timings, place, read_key(key_file))
        write_whole(folder / NAME, _MAGIC + signature, timings, mode=0o600)
    except (OSError, Unfit) as exc:
        _LOG.warning("the compiler's timings are not kept: %s", exc)


def _sign(timings: bytes, place: Place, key: bytes) -> bytes:
    told = json.dumps(asdict(place), sort_keys=True).encode()
    size = len(told).to_bytes(4, "little")
    return hmac.new(key, _MAGIC + size + told + timings, hashlib.sha256).digest()
