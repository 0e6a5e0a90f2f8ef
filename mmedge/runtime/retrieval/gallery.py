"""The gallery: embeddings to be searched, in one file bound to the bundle that made them.

The file is a numpy archive without pickle; ``docs/retrieval.md`` describes it. It may come
from a stranger: sizes, types and names are held against the bundle's manifest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, ValidationError

from mmedge._files import file_errors, write_whole
from mmedge.bundle import Bundle
from mmedge.errors import ArtefactError, ConfigError, IncompatibleError, ResourceError
from mmedge.manifest import FUSION, Manifest, first_complaint
from mmedge.runtime.archive import pack, unpack
from mmedge.specs import Name, Printable, Spec
from mmedge.specs.plan import Sha256

__all__ = [
    "MAX_BYTES",
    "MAX_NAME",
    "Gallery",
    "Table",
    "check_place",
    "check_size",
    "open_gallery",
    "save_gallery",
]

VERSION: Literal[1] = 1
MAX_BYTES = 512 * 2**20
"""Of all arrays together: 340,000 embeddings of 384 numbers."""
MAX_NAME = 1000

_REMEDY = "make it again: mmedge gallery BUNDLE FILES -o NAME.gallery"

Array = NDArray[np.generic]
EntryName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME), Printable]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The entries of one modality.

    Attributes:
        names: ``N`` files or texts, one for each window of a file.
        end_ns: int64 ``[N]``, where the window ends since the file's beginning.
        embeddings: fusion input -> ``[N, ...]``.
    """

    names: tuple[str, ...]
    end_ns: NDArray[np.int64]
    embeddings: Mapping[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """What can be searched; it holds no device, and threads may share it.

    Attributes:
        bundle: digest of the bundle whose encoders made the embeddings.
        plan: in which the encoders ran.
        tables: by modality.
    """

    bundle: str
    plan: str
    tables: Mapping[str, Table]

    def __len__(self) -> int:
        return sum(len(table.names) for table in self.tables.values())

    def check_bundle(self, bundle: Bundle) -> None:
        """Refuse a bundle that is not the one that made the embeddings.

        Raises:
            IncompatibleError: it is another.
        """
        if self.bundle != bundle.digest:
            raise IncompatibleError(
                f"the gallery was made by the bundle {self.bundle[:12]}, and this one is "
                f"{bundle.digest[:12]}: embeddings of two models cannot be compared. Give that "
                f"bundle, or {_REMEDY}"
            )


class _Header(Spec):
    mmedge_gallery: Literal[1]
    bundle: Sha256
    plan: Name
    names: dict[Name, Annotated[tuple[EntryName, ...], Field(strict=False, min_length=1)]]


def check_place(path: Path, *, replace: bool) -> None:
    """Refuse a place where a gallery could not be written, before the work is done.

    Raises:
        ConfigError: no parent folder, or something is there and may not be replaced.
    """
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"the folder {path.absolute().parent} does not exist; make it first")
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} exists and is not a file; choose another name")
    if path.exists() and not replace:
        raise ConfigError(f"{path} exists already; add --force to replace it")


def check_size(size_bytes: int) -> None:
    """Refuse what would be too large to be read again.

    Raises:
        ResourceError: it is.
    """
    if size_bytes > MAX_BYTES:
        raise ResourceError(
            f"the gallery needs more than {MAX_BYTES // 2**20} MiB; make several of fewer files, "
            "or, along videos without sound, of a longer --every-ms"
        )


def save_gallery(gallery: Gallery, path: Path | str, *, replace: bool = False) -> None:
    """Write a gallery as one file: whole, or not at all.

    Raises:
        ConfigError: as for `check_place`, or the system does not let us write.
        ResourceError: more than 512 MiB, or the disk is full.
    """
    path = Path(path)
    check_place(path, replace=replace)
    header = _Header(
        mmedge_gallery=VERSION,
        bundle=gallery.bundle,
        plan=gallery.plan,
        names={name: table.names for name, table in gallery.tables.items()},
    )
    flat: dict[str, Array] = {"header": np.frombuffer(header.model_dump_json().encode(), np.uint8)}
    for name, table in gallery.tables.items():
        flat[f"end_ns/{name}"] = table.end_ns
        flat |= {f"embedding/{name}/{key}": each for key, each in table.embeddings.items()}
    check_size(sum(each.nbytes for each in flat.values()))
    with file_errors(path):
        write_whole(path, pack(flat, compress=False))


def open_gallery(path: Path | str, bundle: Bundle) -> Gallery:
    """Read a gallery that this bundle made.

    Raises:
        ConfigError: there is nothing, or nothing that may be read.
        ArtefactError: it is no gallery, or one that does not fit the bundle's manifest.
        IncompatibleError: another bundle made it, or a newer mmedge wrote it.
    """
    flat = unpack(_read(Path(path)), limit_bytes=MAX_BYTES, what=f"{path}'s arrays", remedy=_REMEDY)
    header = _parse_header(str(path), flat.pop("header", np.zeros(0, np.uint8)))
    tables = {
        name: Table(
            names=names,
            end_ns=flat.pop(f"end_ns/{name}", np.zeros(0)),  # type: ignore[arg-type]
            embeddings={
                key.removeprefix(f"embedding/{name}/"): flat.pop(key)
                for key in [key for key in flat if key.startswith(f"embedding/{name}/")]
            },
        )
        for name, names in header.names.items()
    }
    gallery = Gallery(bundle=header.bundle, plan=header.plan, tables=tables)
    gallery.check_bundle(bundle)
    wrong = next((n for n, t in tables.items() if not _fits(n, t, bundle.manifest)), None)
    if wrong is not None or flat:
        raise ArtefactError(
            f"{path}: {wrong or next(iter(flat))!r} is not what the bundle's encoders give; "
            f"it was damaged or changed: {_REMEDY}"
        )
    return gallery


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            what = "is not a file" if path.exists() else "is not there"
            raise ConfigError(f"the gallery {path} {what}; {_REMEDY}")
        size_bytes = path.stat().st_size
        if size_bytes > 2 * MAX_BYTES:
            raise ArtefactError(f"{path} has {size_bytes} bytes, too many for a gallery")
        return path.read_bytes()
    except ConfigError:
        raise
    except OSError as exc:
        raise ConfigError(f"the gallery {path} cannot be read: {exc.strerror or exc}") from exc


def _parse_header(path: str, array: Array) -> _Header:
    data = array.tobytes()
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise ArtefactError(f"{path} is not a gallery: it has no header; {_REMEDY}") from exc
    version = fields.get("mmedge_gallery") if isinstance(fields, dict) else None
    if type(version) is int and version > VERSION:
        raise IncompatibleError(
            f"{path} has version {version}, this mmedge reads up to {VERSION}. Upgrade mmedge, "
            f"or {_REMEDY}"
        )
    try:
        return _Header.model_validate_json(data)
    except ValidationError as exc:
        raise ArtefactError(f"{path}: header: {first_complaint(exc)}; {_REMEDY}") from exc


def _fits(name: str, table: Table, manifest: Manifest) -> bool:
    """Tell whether a table is of the types, sizes and numbers that its encoder gives."""
    if name not in manifest.modalities:
        return False
    count = len(table.names)
    inputs = {spec.name: spec for spec in manifest.graphs[FUSION].inputs}
    wanted = {
        key: (np.dtype(inputs[key].dtype), (count, *inputs[key].shape[1:]))
        for key in manifest.encoder_outputs(name).values()
    }
    return (
        {key: (each.dtype, each.shape) for key, each in table.embeddings.items()} == wanted
        and (table.end_ns.dtype, table.end_ns.shape) == (np.dtype(np.int64), (count,))
        and bool((table.end_ns >= 0).all())
        and all(bool(np.isfinite(each).all()) for each in table.embeddings.values())
    )
