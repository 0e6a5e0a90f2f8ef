"""Cameras, microphones and the GPU's nodes: refused, or in another program's hands."""

from __future__ import annotations

from collections.abc import Iterator

from mmedge.doctor.finding import Finding, Severity
from mmedge.doctor.looking.devices import Node
from mmedge.doctor.machine import Machine

__all__ = ["check_devices"]


def check_devices(machine: Machine) -> Iterator[Finding]:
    """Find what this user may not use, or not now."""
    devices = machine.devices
    for node in devices.cameras:
        if not node.allowed:
            yield _refused("camera-refused", node, "video", "error", "the camera")
        elif node.busy:
            yield _busy(node)
    for node in devices.gpu:
        if not node.allowed:
            yield _refused("gpu-refused", node, "video", "error", "the GPU")
    refused = [node for node in devices.microphones if not node.allowed]
    if refused:
        # A sound server has the devices, and hands their sound on.
        severity: Severity = "warning" if devices.sound_server else "error"
        yield _refused("microphone-refused", refused[0], "audio", severity, "microphones")


def _refused(name: str, node: Node, usual: str, severity: Severity, what: str) -> Finding:
    if node.group == usual or (node.group and node.group != "root"):
        group = node.group
        if node.listed and not node.member:
            why = f"you were put into the group '{group}' after this session had begun"
            remedy = f"newgrp {group}"
        else:
            why = f"you are not in the group '{group}'"
            remedy = f'sudo usermod -aG {group} "$USER"  # then log in again'
    else:
        why = f"its group '{usual}' may not either; udev's rules were not applied"
        remedy = f"sudo chgrp {usual} {node.path} && sudo chmod g+rw {node.path}"
    return Finding(
        name=name,
        severity=severity,
        what=f"you may not use {what} at {node.path}: {why}",
        remedy=remedy,
        where=node.path,
    )


def _busy(node: Node) -> Finding:
    who = ", ".join(node.users) or "another program, of another user"
    only = node.users[0].rpartition(" ")[2].rstrip(")") if len(node.users) == 1 else ""
    return Finding(
        name="camera-busy",
        severity="error",
        what=f"{node.path} is taken: {who} has it open",
        remedy=f"kill {only}" if only else f"sudo fuser -v {node.path}",
        where=node.path,
    )
