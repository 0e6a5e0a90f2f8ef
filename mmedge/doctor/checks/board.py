"""JetPack and power: what a Jetson is set to, below what it can do."""

from __future__ import annotations

from collections.abc import Iterator

from mmedge.doctor.finding import Finding
from mmedge.doctor.looking.jetson import best_mode
from mmedge.doctor.machine import Machine

__all__ = ["check_board"]


def check_board(machine: Machine) -> Iterator[Finding]:
    """Find what makes a Jetson slower than it is, or leaves it without TensorRT."""
    jetson = machine.jetson
    if jetson.here and not jetson.system_tensorrt and not machine.package("tensorrt"):
        yield Finding(
            name="no-jetpack",
            severity="error",
            what="Jetson Linux is installed without JetPack's TensorRT: no engines",
            remedy="sudo apt-get update && sudo apt-get install nvidia-jetpack",
            where="/var/lib/dpkg/status",
        )
    if jetson.power is None:
        return
    best = best_mode(jetson.power.names)
    if best is not None and best != jetson.power.number:
        yield Finding(
            name="power-mode",
            severity="warning",
            what=f"the power mode is {jetson.power}; {best} ({jetson.power.names[best]}) is the "
            "fastest, if the supply and the cooling can bear it",
            remedy=f"sudo nvpmodel -m {best} && sudo jetson_clocks",
            where="/etc/nvpmodel.conf",
        )
