"""Which Jetson this is, what JetPack put on it, and how much power it may take.

Files of Jetson Linux: ``/etc/nv_tegra_release``, Debian's ``/var/lib/dpkg/status``, the power
modes of nvpmodel ("Platform Power and Performance" in its developer guide).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mmedge.doctor.looking.packages import numbers
from mmedge.doctor.place import Place

if TYPE_CHECKING:
    from mmedge.runtime.pipeline.board import PowerMode

__all__ = ["Jetson", "best_mode", "look_at_jetson", "read_debian"]

# Jetson Linux -> JetPack, where the package that says so is not installed.
_JETPACKS = {35: "5", 36: "6", 38: "7", 39: "7"}
_WANTED = re.compile(
    r"nvidia-jetpack|libnvinfer\d+|python3-libnvinfer|libopencv-python|python3-opencv|"
    r"libportaudio2|nvidia-l4t-(core|gstreamer)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Jetson:
    """A board, and its software; all empty where this is none.

    Attributes:
        release: of Jetson Linux: ``(36, 4, 3)``.
        model: as the board calls itself.
        jetpack: its version, or only its first number where no more is known.
        debian: package -> version, of those that matter here, on any Debian or Ubuntu.
        power: its power mode.
    """

    release: tuple[int, ...] = ()
    model: str = ""
    jetpack: str = ""
    debian: Mapping[str, str] = field(default_factory=dict)
    power: PowerMode | None = None

    @property
    def here(self) -> bool:
        """This is a Jetson."""
        return bool(self.release)

    @property
    def system_tensorrt(self) -> str:
        """Version of the TensorRT that the system's package manager installed."""
        versions = [self.debian[name] for name in self.debian if name.startswith("libnvinfer")]
        return max(versions, key=numbers, default="").partition("-")[0]


def look_at_jetson(place: Place) -> Jetson:
    """Read what the board's files say."""
    from mmedge.runtime.pipeline.board import read_power_mode  # needs numpy, which may be broken

    match = re.search(
        r"# R(\d+) \(release\), REVISION: (\d+)(?:\.(\d+))?", place.read("etc/nv_tegra_release")
    )
    release = tuple(int(part) for part in match.groups() if part) if match else ()
    debian = read_debian(place.read("var/lib/dpkg/status"))
    jetpack = debian.get("nvidia-jetpack", "").partition("+")[0]
    return Jetson(
        release=release,
        model=place.read("proc/device-tree/model").strip("\0"),
        jetpack=jetpack or (_JETPACKS.get(release[0], "") if release else ""),
        debian=debian,
        power=read_power_mode(place.root),
    )


def read_debian(status: str) -> dict[str, str]:
    """Read the versions of packages that are installed, of those that matter here."""
    found = {}
    for stanza in status.split("\n\n"):
        name, _, rest = stanza.removeprefix("Package: ").partition("\n")
        if _WANTED.fullmatch(name) and "\nStatus: install ok installed" in f"\n{rest}":
            version = re.search(r"^Version: (?:\d+:)?(\S+)", rest, re.MULTILINE)
            found[name] = version[1] if version else ""
    return found


def best_mode(names: Mapping[int, str]) -> int | None:
    """Find the mode without a limit, else the one with most watts.

    Their numbers say nothing: on an Orin Nano 2 is ``MAXN_SUPER``, on an AGX Orin 0 is ``MAXN``.
    """

    def rank(number: int) -> tuple[bool, bool, float]:
        name = names[number].upper()
        watts = re.search(r"(\d+(?:\.\d+)?)\s*W", name)
        return name.startswith("MAXN"), "SUPER" in name, float(watts[1]) if watts else 0.0

    known = [number for number in names if rank(number) != (False, False, 0.0)]
    return max(known, key=lambda number: (*rank(number), -number), default=None)
