"""Power, where the board measures it: a Jetson's INA3221, or the processor's own counters."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import fmean
from typing import Protocol

__all__ = ["Counters", "Meter", "Rails", "find_meter"]

INPUT = "VDD_IN"
"""What a Jetson module draws in all, where it has this rail; else its rails are added up."""


class Meter(Protocol):
    """Measures between ``begin`` and ``watts``."""

    source: str

    def begin(self) -> None:
        """Begin anew."""
        ...

    def poll(self) -> None:
        """Read once more; call it every 50 ms."""
        ...

    def watts(self) -> float | None:
        """Give the mean since ``begin``; ``None`` if it was too short to tell."""
        ...


class Rails:
    """Sensors of voltage and current (hwmon, INA3221), read again and again.

    Args:
        channels: name -> files of millivolts and milliamperes.
    """

    def __init__(self, channels: dict[str, tuple[Path, Path]]) -> None:
        chosen = {INPUT: channels[INPUT]} if INPUT in channels else channels
        self._files = list(chosen.values())
        self._watts: list[float] = []
        self.source = f"INA3221: {' + '.join(chosen)}"

    def begin(self) -> None:
        """Begin anew."""
        self._watts = []

    def poll(self) -> None:
        """Read all rails; if one does not tell, their sum would be too little."""
        read = [_power_w(*files) for files in self._files]
        known = [watts for watts in read if watts is not None]
        if len(known) == len(read):
            self._watts.append(sum(known))

    def watts(self) -> float | None:
        """Give the mean since ``begin``."""
        return fmean(self._watts) if self._watts else None


class Counters:
    """Energy that processors count (powercap, RAPL): all packages, without memory or GPU.

    Args:
        zones: folders, one for each package.
    """

    source = "RAPL: processor packages"

    def __init__(self, zones: list[Path]) -> None:
        self._zones = zones
        self._begin_uj: list[int] = []
        self._begin_ns = 0

    def begin(self) -> None:
        """Begin anew."""
        try:
            self._begin_uj = self._read()
        except (OSError, ValueError):  # it told before
            self._begin_uj = []
        self._begin_ns = time.perf_counter_ns()

    def poll(self) -> None:
        """Nothing: they count by themselves."""

    def watts(self) -> float | None:
        """Give the mean since ``begin``; a counter that has begun again at 0 is seen once."""
        took_us = (time.perf_counter_ns() - self._begin_ns) / 1000
        used_uj = 0
        try:
            for zone, before, now in zip(self._zones, self._begin_uj, self._read(), strict=True):
                ended = _number(zone / "max_energy_range_uj") if now < before else 0
                used_uj += now - before + ended
        except (OSError, ValueError):  # one of the two reads failed
            return None
        return used_uj / took_us if used_uj and took_us > 0 else None

    def _read(self) -> list[int]:
        return [_number(zone / "energy_uj") for zone in self._zones]


def find_meter(root: Path = Path("/")) -> tuple[Meter | None, str]:
    """Look for something that measures power.

    Returns:
        It, and where it comes from; or ``None``, and why there is none.
    """
    channels: dict[str, tuple[Path, Path]] = {}
    why = "this machine tells of none"
    for folder in sorted(root.glob("sys/class/hwmon/hwmon*")):
        if _text(folder / "name") == "ina3221":
            channels |= _channels(folder)
    telling = {name: files for name, files in channels.items() if _power_w(*files) is not None}
    if telling:
        rails = Rails(telling)
        return rails, rails.source
    if channels:
        why = f"INA3221: {', '.join(channels)} cannot be read"
    zones = sorted(root.glob("sys/class/powercap/intel-rapl:*"))
    packages = [zone for zone in zones if _text(zone / "name").startswith("package")]
    if not packages:
        return None, why
    try:
        for zone in packages:
            _number(zone / "energy_uj")
    except (OSError, ValueError):
        return None, f"only root may read {packages[0] / 'energy_uj'}"
    return Counters(packages), Counters.source


def _channels(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Give the rails of one sensor: those that have a name, a voltage and a current."""
    found = {}
    for label in sorted(folder.glob("in*_label")):
        number = label.name.removeprefix("in").removesuffix("_label")
        files = folder / f"in{number}_input", folder / f"curr{number}_input"
        name = _text(label)
        if name and name != "NC" and all(file.exists() for file in files):
            found[name] = files
    return found


def _power_w(millivolts: Path, milliamperes: Path) -> float | None:
    """Read one rail; ``None`` if it does not tell."""
    try:
        return _number(millivolts) * _number(milliamperes) / 1e6
    except (OSError, ValueError):
        return None


def _number(file: Path) -> int:
    return int(file.read_text(encoding="ascii"))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""
