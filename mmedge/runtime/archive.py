"""Numpy archives without pickle, read as what they are: data from a stranger."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedge.errors import ArtefactError

__all__ = ["DAMAGE", "pack", "unpack"]

Array = NDArray[np.generic]

# What numpy and zipfile raise, on compression methods and encryption too.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    OSError,
    RuntimeError,
)


def pack(arrays: Mapping[str, Any], *, compress: bool = True) -> bytes:
    """Pack arrays by name; the same arrays give the same bytes."""
    file = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(file, **arrays)
    return file.getvalue()


def unpack(data: bytes, *, limit_bytes: int, what: str, remedy: str) -> dict[str, Array]:
    """Unpack; nothing is allocated that is not there.

    Args:
        data: the archive.
        limit_bytes: the most that it may unpack to.
        what: it holds, for messages, in the plural.
        remedy: what to do if it is damaged.

    Raises:
        ArtefactError: damaged, too large, or arrays of objects.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > limit_bytes:
                raise ArtefactError(
                    f"{what} unpack to {size} bytes; the most that is read is {limit_bytes}: "
                    f"{remedy}, with fewer of them"
                )
            names = archive.namelist()
            return {name.removesuffix(".npy"): _array(name, archive.read(name)) for name in names}
    except ArtefactError:
        raise
    except DAMAGE as exc:
        raise ArtefactError(f"{what} cannot be read ({exc}); {remedy}") from exc


def _array(name: str, npy: bytes) -> Array:
    """Read one array; numpy would first allocate whatever the header promises."""
    file = io.BytesIO(npy)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError(f"{name} is not an array of format 1.0")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if math.prod(shape) * dtype.itemsize != len(npy) - file.tell() and not dtype.hasobject:
        raise ValueError(f"{name} is {len(npy) - file.tell()} bytes, not {dtype}{shape}")
    array: Array = np.load(io.BytesIO(npy), allow_pickle=False)
    return array
