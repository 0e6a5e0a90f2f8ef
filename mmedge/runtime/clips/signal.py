"""Signal files: CSV, with or without a column of times, and NPY."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mmedge.errors import ResourceError, SourceError
from mmedge.runtime.clips.container import check_file

__all__ = ["SignalFile", "is_signal", "read_signal"]

Values = npt.NDArray[np.float64]
MAX_BYTES = 64 * 2**20
MAX_DURATION_NS = 24 * 3600 * 10**9
_NPY = b"\x93NUMPY"
_UNITS_NS = {"time_ns": 1, "time_us": 1_000, "time_ms": 1_000_000, "time_s": 1_000_000_000}


@dataclass(frozen=True, eq=False)
class SignalFile:
    """A recorded signal.

    Attributes:
        values: float64 ``[N, C]``.
        times_ns: int64 ``[N]``, ascending, 0 at the first sample; ``None`` where the file
            gives no times, so that the modality's own rate holds.
    """

    values: Values
    times_ns: npt.NDArray[np.int64] | None


def is_signal(path: Path) -> bool:
    """Tell NPY and CSV from media: by the first bytes, and by the name's ending for CSV."""
    with path.open("rb") as file:
        return file.read(len(_NPY)) == _NPY or path.suffix.lower() == ".csv"


def read_signal(path: str | os.PathLike[str]) -> SignalFile:
    """Read a signal.

    NPY holds an array ``[N]`` or ``[N, C]``. CSV holds a sample per line and a channel per
    column, with an optional header; a first column called ``time_ns``, ``time_us``,
    ``time_ms`` or ``time_s`` gives the times.

    Raises:
        SourceError: missing, empty, or not such a file; the message names the line.
        ResourceError: more than 64 MiB.
    """
    path = check_file(path)
    if path.stat().st_size > MAX_BYTES:
        raise ResourceError(f"'{path}' has more than 64 MiB; cut it into shorter recordings")
    with path.open("rb") as file:
        packed = file.read(len(_NPY)) == _NPY
    return _read_npy(path) if packed else _read_csv(path)


def _read_npy(path: Path) -> SignalFile:
    try:
        # Mapped, so that a header that promises more than the file holds takes no memory.
        array = np.load(path, allow_pickle=False, mmap_mode="r")
    except (ValueError, OSError, EOFError) as exc:
        raise SourceError(f"'{path}' is not a readable NPY file ({exc}); save it again") from exc
    if array.ndim not in (1, 2) or array.dtype.kind not in "fiu" or not array.size:
        raise SourceError(
            f"'{path}' holds {array.dtype.name}{list(array.shape)}; numbers of shape [N] or "
            "[N, channels] were expected"
        )
    return SignalFile(np.atleast_2d(array.T).T.astype(np.float64), None)


def _read_csv(path: Path) -> SignalFile:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        raise SourceError(f"'{path}' is not text in UTF-8; write it as CSV again") from exc
    try:
        rows = [row for row in csv.reader(io.StringIO(text)) if any(map(str.strip, row))]
    except csv.Error as exc:
        raise SourceError(f"'{path}' is not CSV ({exc}); write it as numbers again") from exc
    header = _header(rows)
    unit_ns = _UNITS_NS.get(header[0]) if header else None
    body = rows[1:] if header else rows
    numbers = [_numbers(path, line, row, len(rows[0])) for line, row in enumerate(body, 1)]
    if not numbers:
        raise SourceError(f"'{path}' has no line of numbers; give a sample per line")
    table = np.array(numbers)
    if unit_ns is None:
        return SignalFile(table, None)
    times = (table[:, 0] - table[0, 0]) * unit_ns
    if not np.isfinite(times).all() or times[-1] > MAX_DURATION_NS:
        raise SourceError(
            f"'{path}': the times of {header[0]!r} are not finite, or span more than a day; is "
            "the unit right?"
        )
    if table.shape[1] < 2 or not (np.diff(times) > 0).all():
        raise SourceError(f"'{path}': the times of {header[0]!r} must ascend, with a value beside")
    return SignalFile(table[:, 1:], times.round().astype(np.int64))


def _header(rows: list[list[str]]) -> list[str]:
    if not rows:
        return []
    try:
        [float(cell) for cell in rows[0]]
    except ValueError:
        return [cell.strip().lower() for cell in rows[0]]
    return []


def _numbers(path: Path, line: int, row: list[str], width: int) -> list[float]:
    try:
        numbers = [float(cell) for cell in row]
    except ValueError as exc:
        raise SourceError(f"'{path}', sample {line}: {exc}; give numbers only") from exc
    if len(numbers) != width:
        raise SourceError(f"'{path}', sample {line}: {len(numbers)} columns, not {width}")
    return numbers
