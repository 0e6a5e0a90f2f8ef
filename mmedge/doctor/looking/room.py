"""Memory, swap, and the folders that mmedge writes to."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mmedge._folders import cache_folder, user_folder
from mmedge.doctor.place import Place

__all__ = ["Folder", "Room", "look_at_room"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder that is written to.

    Attributes:
        path: of the folder.
        what: it is for.
        writable: this user may write there, or make it.
        read_only: the mount that lets nobody write there; empty if there is none.
        temporary: it is everybody's.
        free_bytes: room that this user may fill; ``None`` where nobody says.
    """

    path: str
    what: str
    writable: bool
    free_bytes: int | None
    read_only: str = ""
    temporary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What there is to work in.

    Attributes:
        memory_bytes: all of it; 0 where nobody says.
        available_bytes: what programs may still take.
        swap_bytes: all of it.
        folders: see `Folder`.
    """

    memory_bytes: int = 0
    available_bytes: int = 0
    swap_bytes: int = 0
    folders: tuple[Folder, ...] = ()


def look_at_room(place: Place) -> Room:
    """Measure; nothing is written."""
    told = dict(re.findall(r"^(\w+):\s+(\d+) kB", place.read("proc/meminfo"), re.MULTILINE))
    return Room(
        memory_bytes=int(told.get("MemTotal", 0)) * 1024,
        available_bytes=int(told.get("MemAvailable", 0)) * 1024,
        swap_bytes=int(told.get("SwapTotal", 0)) * 1024,
        folders=tuple(_folders(place)),
    )


def _folders(place: Place) -> Iterator[Folder]:
    # As mmedge.engines names them, which stands on packages that may be what is broken here.
    yield _folder(place.cache or cache_folder() / "engines", "engines")
    key_file = place.key_file or user_folder("XDG_STATE_HOME", ".local/state") / "mmedge/engine.key"
    yield _folder(key_file.parent, "the key that signs engines")
    temporary = place.environment.get("TMPDIR") or tempfile.gettempdir()
    yield replace(_folder(Path(temporary), "temporary files"), temporary=True)


def _folder(path: Path, what: str) -> Folder:
    """Look at a folder, or at the one that it would be made in."""
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    writable = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    try:
        free_bytes = shutil.disk_usage(existing).free
    except OSError:
        free_bytes = None
    return Folder(
        path=str(path),
        what=what,
        writable=writable,
        free_bytes=free_bytes,
        read_only=_mounted_read_only(existing),
    )


def _mounted_read_only(folder: Path) -> str:
    try:
        if not os.statvfs(folder).f_flag & os.ST_RDONLY:
            return ""
    except (OSError, AttributeError):  # Windows tells of no mounts
        return ""
    return str(next(each for each in (folder, *folder.parents) if each.is_mount()))
