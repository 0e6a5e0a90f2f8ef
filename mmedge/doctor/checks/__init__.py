"""What may be wrong, one file per subject: a machine in, findings out; nothing else is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mmedge.doctor.checks.board import check_board
from mmedge.doctor.checks.bundle import check_bundle
from mmedge.doctor.checks.devices import check_devices
from mmedge.doctor.checks.engines import check_engines
from mmedge.doctor.checks.gpu import check_gpu
from mmedge.doctor.checks.onnxruntime import check_onnxruntime
from mmedge.doctor.checks.opencv import check_opencv
from mmedge.doctor.checks.packages import check_packages
from mmedge.doctor.checks.room import check_room
from mmedge.doctor.finding import Finding
from mmedge.doctor.machine import Machine

__all__ = ["CHECKS", "Check"]

Check = Callable[[Machine], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    check_packages,
    check_onnxruntime,
    check_opencv,
    check_gpu,
    check_engines,
    check_board,
    check_devices,
    check_room,
    check_bundle,
)
