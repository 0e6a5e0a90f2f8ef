"""What was found to be fast here: kept for a bundle and a machine, read at start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from mmedge._files import file_errors, write_whole
from mmedge._folders import cache_folder
from mmedge.bundle import Bundle
from mmedge.errors import ConfigError
from mmedge.runtime.machine import Machine, this_machine, versions
from mmedge.specs.base import Name, Note, Printable, Spec
from mmedge.specs.plan import Sha256

__all__ = [
    "REFERENCE",
    "WORTH",
    "FirstRun",
    "Record",
    "Timing",
    "fastest",
    "find_record",
    "forget_first_run",
    "record_folder",
    "save_record",
]

REFERENCE = "cpu"
"""The backend that stays unless another one is worth it."""
WORTH = 0.9
"""Another backend takes its place where it takes at most so much of its time..."""
GAIN = 0.97
"""...and a plan that of float32 on the same backend."""
MAX_BYTES = 64 * 2**10
_NAMED = 12  # letters of each hash in a file's name


class Timing(Spec):
    """How long a whole prediction takes by a backend and a plan that were verified here.

    Attributes:
        backend: a name in the registry.
        plan: of the bundle.
        p50_ms: median.
        ratio: over the reference's time, side by side; below 1 is faster.
    """

    backend: Note
    plan: Name
    p50_ms: Annotated[float, Field(gt=0)]
    ratio: Annotated[float, Field(gt=0)]


class Record(Spec):
    """Timings of one bundle on one machine, with as many threads as `serve` gives by itself.

    Attributes:
        format: of this file.
        digest: the bundle's.
        machine: in words.
        versions: what it was measured with.
        reference: the backend and plan whose time ratios are over.
        timings: of whatever ran and was verified.
        by: who measured: ``mmedge bench``, or briefly the first run of ``--backend auto``.
    """

    format: Literal[1] = 1
    digest: Sha256
    machine: Note
    versions: dict[Note, Note]
    reference: Note
    timings: Annotated[tuple[Timing, ...], Field(strict=False, min_length=1)]
    by: Literal["bench", "first run"] = "bench"


class FirstRun(Spec):
    """What ``mmedge bench --first-run`` gives.

    Attributes:
        record: what holds here, whoever measured it.
        said: what was left out and why, and why it is not kept; nothing if it was there already.
    """

    record: Record
    said: Annotated[tuple[Annotated[str, Printable], ...], Field(strict=False)] = ()


def fastest(timings: Iterable[Timing], plan: str | None = None) -> Timing | None:
    """Tell which to take: the fastest, but another plan or backend only where it is worth it.

    Args:
        timings: all against the same reference.
        plan: only this one; ``None`` for any.
    """
    best: dict[str, Timing] = {}
    for each in sorted(timings, key=lambda timing: timing.plan != "fp32"):
        if plan in (None, each.plan):
            known = best.get(each.backend)
            worth = GAIN if known is not None and known.plan == "fp32" else 1.0
            if known is None or each.ratio <= worth * known.ratio:
                best[each.backend] = each
    usual = best.pop(REFERENCE, None)
    other = min(best.values(), key=lambda timing: timing.ratio, default=None)
    if usual is None or other is None:
        return usual or other
    return other if other.ratio <= WORTH * usual.ratio else usual


def find_record(
    bundle: Bundle, machine: Machine | None = None, now: Mapping[str, str] | None = None
) -> tuple[Record | None, str]:
    """Look up what was measured of a bundle here; nothing is measured, and no runtime loaded.

    Args:
        bundle: which.
        machine: ``None`` for this one.
        now: versions that are installed; ``None`` to look.

    Returns:
        The record; or ``None``, and why one that is there does not count (empty if there is
        none).
    """
    machine = machine or this_machine()
    try:
        path = _place(bundle, machine)
    except ConfigError:  # no home: nothing was kept
        return None, ""
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_BYTES else b""
        record = Record.model_validate_json(data)
    except FileNotFoundError:
        return None, _others(path)
    except (OSError, ValidationError):
        return None, f"{path} cannot be read"
    if record.digest != bundle.digest or record.machine != str(machine):
        return None, f"{path} is of another bundle or machine"
    found = versions({t.backend for t in record.timings}, machine) if now is None else now
    for name, then in record.versions.items():
        if found.get(name) != then:
            return None, f"{name} was {then} then and is {found.get(name, 'not installed')} now"
    return record, ""


def save_record(record: Record, bundle: Bundle, machine: Machine) -> Path:
    """Keep a record: whole, or not at all.

    Raises:
        ConfigError: the system does not let us write there.
        ResourceError: the disk is full.
    """
    path = _place(bundle, machine)
    with file_errors(path, "Set MMEDGE_CACHE to another folder."):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, (record.model_dump_json(indent=1) + "\n").encode())
    return path


def forget_first_run(bundle: Bundle) -> None:
    """Have the next start measure anew, since an engine that was just built may be faster.

    What ``mmedge bench`` found stays.
    """
    record, _ = find_record(bundle)
    if record is not None and record.by == "first run":
        with suppress(OSError):  # where nothing can be removed, a bench is to tell
            _place(bundle, this_machine()).unlink()


def record_folder() -> Path:
    """Give the folder of all records; it may not exist yet.

    Raises:
        ConfigError: the user has no home.
    """
    return cache_folder() / "bench"


def _place(bundle: Bundle, machine: Machine) -> Path:
    """Name it so that records of other versions of the model, or from elsewhere, stand beside."""
    parts = (bundle.manifest.weights_sha256, machine.key, bundle.digest)
    return record_folder() / f"{'-'.join(part[:_NAMED] for part in parts)}.json"


def _others(path: Path) -> str:
    weights, machine, _ = path.stem.split("-")
    if next(path.parent.glob(f"{weights}-{machine}-*.json"), None):
        return "the bundle has changed since"
    if next(path.parent.glob(f"{weights}-*.json"), None):
        return "it was measured on another machine"
    return ""
