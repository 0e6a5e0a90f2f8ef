"""Cameras and microphones: what is there, and whether this user may use it now."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmedge.doctor.place import Place

__all__ = ["Devices", "Node", "look_at_devices"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One file in ``/dev``.

    Attributes:
        path: as this machine calls it.
        allowed: this user may read and write it.
        group: whose members may; empty where it is nobody's.
        member: this process belongs to that group.
        listed: the user is in the group, though this session began before that.
        busy: another program has it and does not share it.
        users: programs that have it open, as far as this user may see them.
    """

    path: str
    allowed: bool
    group: str = ""
    member: bool = False
    listed: bool = False
    busy: bool = False
    users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """What pictures and sound come from.

    Attributes:
        cameras: nodes of V4L2 that give pictures, or that nobody could ask.
        csi: one of them is a Jetson's own camera, on its ribbon cable.
        microphones: nodes of ALSA that record.
        gpu: nodes of the GPU's driver.
        sound_server: PulseAudio or PipeWire runs for this user.
        argus: GStreamer has NVIDIA's source for CSI cameras.
    """

    cameras: tuple[Node, ...] = ()
    csi: bool = False
    microphones: tuple[Node, ...] = ()
    gpu: tuple[Node, ...] = ()
    sound_server: bool = False
    argus: bool = False


def look_at_devices(place: Place) -> Devices:
    """Look at the nodes, and ask the cameras' drivers; no picture is taken."""
    names = [place.read(f"sys/class/video4linux/{node.name}/name") for node in _video(place)]
    return Devices(
        cameras=tuple(_cameras(place)),
        csi=any("vi-output" in name for name in names),
        microphones=tuple(_node(place, path) for path in place.found("dev/snd/pcmC*D*c")),
        gpu=tuple(_node(place, p) for p in place.found("dev/nvidia[0-9]*", "dev/nvmap")),
        sound_server=_sound_server(place),
        argus=any(place.found("usr/lib/*/gstreamer-1.0/libgstnvarguscamerasrc.so")),
    )


def _video(place: Place) -> list[Path]:
    return list(place.found("dev/video[0-9]*"))


def _cameras(place: Place) -> Iterator[Node]:
    from mmedge.runtime.sources.cameras import list_cameras  # needs numpy, which may be broken

    for camera in list_cameras(place.root):
        path = place.root / camera.path.lstrip("/")
        refused = camera.problem in {os.strerror(errno.EACCES), os.strerror(errno.EPERM)}
        busy = camera.problem == os.strerror(errno.EBUSY)
        yield _node(place, path, allowed=not refused, busy=busy)


def _node(place: Place, path: Path, *, allowed: bool | None = None, busy: bool = False) -> Node:
    if allowed is None:
        allowed = os.access(path, os.R_OK | os.W_OK)
    group, member, listed = _group(path)
    return Node(
        path=place.shown(path),
        allowed=allowed,
        group=group,
        member=member,
        listed=listed,
        busy=busy,
        users=tuple(sorted(set(_users(place, path)))) if busy else (),
    )


def _group(path: Path) -> tuple[str, bool, bool]:
    """Tell the node's group, and how this user stands to it."""
    try:
        import grp
        import pwd
    except ModuleNotFoundError:  # Windows
        return "", False, False
    try:
        found = path.stat()
        group = grp.getgrgid(found.st_gid)
        name = pwd.getpwuid(os.getuid()).pw_name
    except (OSError, KeyError):
        return "", False, False
    member = found.st_gid in {os.getegid(), *os.getgroups()}
    wide = bool(found.st_mode & stat.S_IRGRP and found.st_mode & stat.S_IWGRP)
    return group.gr_name if wide else "", member, name in group.gr_mem


def _users(place: Place, path: Path) -> Iterator[str]:
    """Find who has a file open; a process of another user does not show to all."""
    mine = str(os.getpid())
    for process in place.found("proc/[0-9]*"):
        try:
            links = [link.readlink() for link in (process / "fd").iterdir()]
        except OSError:
            continue
        if process.name != mine and path in links:
            name = place.read(f"proc/{process.name}/comm") or "a program"
            yield f"{name} (process {process.name})"


def _sound_server(place: Place) -> bool:
    if place.environment.get("PULSE_SERVER"):
        return True
    folder = place.environment.get("XDG_RUNTIME_DIR", "").lstrip("/")
    sockets = ("pulse/native", "pipewire-0")
    return bool(folder) and any((place.root / folder / each).exists() for each in sockets)
