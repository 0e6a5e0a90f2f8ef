"""Memory, swap and disks: too little, or not ours."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from mmedge.doctor.finding import Finding
from mmedge.doctor.looking.room import Folder
from mmedge.doctor.machine import Machine

__all__ = ["check_room"]

GIB = 2**30
_FULL_BYTES = 64 * 2**20
_LOW_BYTES = GIB
_SMALL_BOARD_BYTES = 9 * GIB  # called 8 GB
_SWAP = (
    "sudo fallocate -l 8G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile "
    "&& sudo swapon /swapfile"
)


def check_room(machine: Machine) -> Iterator[Finding]:
    """Find what would run out."""
    room = machine.room
    if room.memory_bytes and room.available_bytes < _LOW_BYTES:
        yield Finding(
            name="memory-low",
            severity="warning",
            what=f"{_gib(room.available_bytes)} of {_gib(room.memory_bytes)} memory are free; "
            "building an engine takes more",
            remedy="ps aux --sort=-rss | head",
            where="/proc/meminfo",
        )
    if machine.jetson.here and room.memory_bytes < _SMALL_BOARD_BYTES and not room.swap_bytes:
        yield Finding(
            name="no-swap",
            severity="warning",
            what=f"a board with {_gib(room.memory_bytes)} memory has no swap: building engines "
            "may end with 'Killed'",
            remedy=_SWAP,
            where="/proc/swaps",
        )
    for folder in room.folders:
        yield from _folder(folder)


def _folder(folder: Folder) -> Iterator[Finding]:
    if not folder.writable:
        yield Finding(
            name="folder-read-only",
            severity="error",
            what=f"the folder for {folder.what} cannot be written",
            remedy=_remedy(folder),
            where=folder.path,
        )
    if folder.free_bytes is not None and folder.free_bytes < _LOW_BYTES:
        full = folder.free_bytes < _FULL_BYTES
        yield Finding(
            name="disk-full",
            severity="error" if full else "warning",
            what=f"{folder.free_bytes / 2**20:.0f} MiB are free for {folder.what}",
            remedy=f"df -h {folder.path}; sudo apt-get clean; pip cache purge",
            where=folder.path,
        )


def _remedy(folder: Folder) -> str:
    """Make a folder writable: the user's own for the user, and everybody's for everybody."""
    path = shlex.quote(folder.path)
    if folder.read_only:
        return f"sudo mount -o remount,rw {shlex.quote(folder.read_only)}"
    if folder.temporary:
        return f"sudo install -d -m 1777 {path}"
    return f'sudo install -d -o "$USER" {path}'


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.1f} GiB"
