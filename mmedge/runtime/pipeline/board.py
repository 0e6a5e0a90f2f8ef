"""What the board says of itself: heat, throttling, power mode.

Files of the kernel: https://docs.kernel.org/driver-api/thermal/sysfs-api.html,
https://docs.kernel.org/admin-guide/pm/cpufreq.html; of NVIDIA's Jetson Linux: the power
mode in ``/var/lib/nvpmodel`` and the over-current counters in hwmon ("Platform Power and
Performance" in its developer guide). What a board does not tell is left out, and nothing
here raises.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Board", "PowerMode", "read_board", "read_power_mode"]

logger = logging.getLogger(__name__)

CPU = "sys/devices/system/cpu"
WATCHED = ("power_mode", "throttled", "clock_limit")
"""Changes of these are logged."""


def read_board(root: Path = Path("/")) -> dict[str, str]:
    """Read everything that is told now; ``root`` holds ``sys``, ``etc`` and ``var``."""
    found = {
        "temperature": _hottest(root),
        "throttled": _throttled(root),
        "clock_limit": _clock_limit(root),
        "power_mode": _power_mode(root),
        "throttle_events": _total(root, f"{CPU}/cpu*/thermal_throttle/package_throttle_count"),
        "overcurrent_events": _total(root, "sys/class/hwmon/hwmon*/oc*_event_cnt"),
    }
    return {key: value for key, value in found.items() if value}


class Board:
    """Reads the board now and then, and logs what changes.

    Events are counted from the first reading on: what happened before is not ours.

    Args:
        root: of the file system.
        every_ms: at most so often; reading takes about a millisecond.
        clock: in nanoseconds.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        *,
        every_ms: int = 5_000,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._root = root
        self._every_ns = every_ms * 1_000_000
        self._clock = clock
        self._due_ns = clock()
        self._first: Mapping[str, str] | None = None
        self._last: Mapping[str, str] = {}

    def poll(self) -> Mapping[str, str]:
        """Give what the board says, read anew if it is time; for `Status.board`."""
        if self._clock() >= self._due_ns:
            self._due_ns = self._clock() + self._every_ns
            raw = read_board(self._root)
            if self._first is None:
                self._first = raw
            told = {key: self._since_first(key, value) for key, value in raw.items()}
            self._log({key: value for key, value in told.items() if value})
        return self._last

    def _since_first(self, key: str, value: str) -> str:
        if not key.endswith("_events"):
            return value
        count = int(value) - int((self._first or {}).get(key, "0"))
        return str(count) if count > 0 else ""

    def _log(self, told: Mapping[str, str]) -> None:
        for key in WATCHED:
            before, now = self._last.get(key, ""), told.get(key, "")
            if before != now:
                logger.warning("the board's %s is now %s, was %s", key, now or "-", before or "-")
        self._last = told


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerMode:
    """How much a Jetson may take.

    Attributes:
        number: of the mode that is set.
        names: number -> name, of all that its configuration has.
    """

    number: int
    names: Mapping[int, str]

    def __str__(self) -> str:
        name = self.names.get(self.number)
        return str(self.number) if name is None else f"{self.number} ({name})"


def read_power_mode(root: Path = Path("/")) -> PowerMode | None:
    """Read a Jetson's power mode; ``None`` where there is none."""
    match = re.search(r"pmode:\s*(\d+)", _read(root / "var/lib/nvpmodel/status"))
    if match is None:
        return None
    modes = re.findall(
        r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>", _read(root / "etc/nvpmodel.conf")
    )
    return PowerMode(number=int(match[1]), names={int(each): name for each, name in modes})


def _read(path: Path) -> str:
    """Read a small file; empty if it is not there, not ours, or its driver fails."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(65_536).strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _read(path)
    return int(text) if re.fullmatch(r"-?\d{1,18}", text) else None


def _found(root: Path, pattern: str) -> Iterator[Path]:
    try:
        yield from sorted(root.glob(pattern))
    except OSError:
        return


def _hottest(root: Path) -> str:
    zones = []
    for zone in _found(root, "sys/class/thermal/thermal_zone*"):
        millidegrees = _number(zone / "temp")
        # Some zones say nonsense while what they measure is switched off.
        if millidegrees is not None and -40_000 < millidegrees < 200_000:
            zones.append((millidegrees, _read(zone / "type") or zone.name))
    if not zones:
        return ""
    millidegrees, name = max(zones)
    return f"{millidegrees / 1000:.1f} C ({name})"


def _throttled(root: Path) -> str:
    """Name what the kernel slows down; a fan that turns slows nothing down."""
    names = set()
    for device in _found(root, "sys/class/thermal/cooling_device*"):
        kind = _read(device / "type")
        if (_number(device / "cur_state") or 0) > 0 and "fan" not in kind.lower():
            names.add(kind or device.name)
    return ", ".join(sorted(names))


def _clock_limit(root: Path) -> str:
    """Tell the lowest upper limit below what the processor can do, by heat or by choice."""
    lowest: tuple[float, int, int] | None = None
    for policy in _found(root, f"{CPU}/cpufreq/policy*"):
        limit, best = _number(policy / "scaling_max_freq"), _number(policy / "cpuinfo_max_freq")
        if limit and best and limit < best and (lowest is None or limit / best < lowest[0]):
            lowest = (limit / best, limit, best)
    return "" if lowest is None else f"{lowest[1] / 1e6:.2f} of {lowest[2] / 1e6:.2f} GHz"


def _power_mode(root: Path) -> str:
    mode = read_power_mode(root)
    return "" if mode is None else str(mode)


def _total(root: Path, pattern: str) -> str:
    counts = [_number(path) for path in _found(root, pattern)]
    known = [count for count in counts if count is not None]
    return str(sum(known)) if known else ""
